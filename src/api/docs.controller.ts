import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { Controller, Get, Inject, Param, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { asyncApiDocument, type AsyncApiDocument } from './asyncapi.js';
import { openApiDocument, type OpenApiDocument } from './openapi.js';
import { replyAddressOf } from '../saga/envelope.js';
import { PARTS, type ApiParts } from './parts.js';
import { ProblemError } from './problems.js';

const resolver = createRequire(import.meta.url);

/** What the page needs of Swagger UI; nothing of it comes from the network. */
const ASSETS: Readonly<Record<string, string>> = {
  'start.js': 'text/javascript; charset=utf-8',
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
};

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>Settle API</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css">
  </head>
  <body>
    <div id="page"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;
const START = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#page', deepLinking: true, validatorUrl: null });\n`;
const POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

/** `/openapi.json` and `/asyncapi.json` for programs, `/docs` for people */
@Controller()
export class DocsController {
  private readonly document: OpenApiDocument;
  private readonly messages: AsyncApiDocument;
  constructor(@Inject(PARTS) { config, contracts }: ApiParts) {
    this.document = openApiDocument(config.windows);
    const replyAddress = replyAddressOf(config.temporal.taskQueue);
    this.messages = asyncApiDocument({ contracts, routes: config.routes, replyAddress });
  }

  /** The OpenAPI 3.1 document. */
  @Get('openapi.json')
  openapi(): OpenApiDocument {
    return this.document;
  }

  /** The AsyncAPI 3.0 document of what participants are sent and answer. */
  @Get('asyncapi.json')
  asyncapi(): AsyncApiDocument {
    return this.messages;
  }

  /** A page to read the document and to try it out. */
  @Get('docs')
  page(@Res({ passthrough: true }) reply: FastifyReply): string {
    void reply.headers({ 'content-type': 'text/html; charset=utf-8', 'content-security-policy': POLICY });
    return PAGE;
  }

  /** What the page loads. */
  @Get('docs/:asset')
  async asset(
    @Param('asset') asset: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string | Buffer> {
    const mediaType = Object.hasOwn(ASSETS, asset) ? ASSETS[asset] : undefined;
    if (mediaType === undefined) throw new ProblemError('not-found', 'there is no such file');
    void reply.headers({ 'content-type': mediaType, 'cache-control': 'max-age=3600' });
    return asset === 'start.js' ? START : readFile(resolver.resolve(`swagger-ui-dist/${asset}`));
  }
}
