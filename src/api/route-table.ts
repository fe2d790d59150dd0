/** Knows every route, so that a wrong method can be told from a wrong address. */
export interface RouteTable {
  add(route: { method: string | readonly string[]; url: string }): void;
  /** The methods of the resource at a path, sorted; empty when there is none. */
  methodsOf(path: string): readonly string[];
  /** All routes as `METHOD /pattern`. */
  list(): readonly string[];
}

/** An empty table. */
export function createRouteTable(): RouteTable {
  const methods = new Map<string, Set<string>>();
  return {
    add: ({ method, url }) => {
      const known = methods.get(url) ?? new Set();
      for (const each of [method].flat()) known.add(each);
      methods.set(url, known);
    },
    methodsOf: (path) => {
      const found = [...methods].filter(([url]) => patternOf(url).test(path)).flatMap(([, known]) => [...known]);
      return [...new Set(found)].sort();
    },
    list: () => [...methods].flatMap(([url, known]) => [...known].map((method) => `${method} ${url}`)),
  };
}

function patternOf(url: string): RegExp {
  const escaped = url.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replace(/:[^/]+/g, '[^/]+').replaceAll('*', '.*')}$`);
}
