import { checkDatabase } from '../../src/reach.js';
import { withDatabase } from '../support/databases.js';

test('a process does not start on a database that nobody has prepared, and says what to do', async () => {
  await withDatabase('producer', (url) => checkDatabase('DATABASE_URL', url, 'settle.saga'));
  await withDatabase('inventory', async (url) => {
    const { port, pathname } = new URL(url);
    const where = `PostgreSQL at 127.0.0.1:${port}${pathname} (DATABASE_URL)`;
    const check = checkDatabase('DATABASE_URL', url, 'settle.saga');
    await expect(check).rejects.toThrow(`${where} has no 'settle.saga'; run the command 'migrate' first`);
  });
});
