import type { Command } from 'commander';
import { templateRow } from '../checkpoint-rows.ts';
import type { CliContext } from '../context.ts';
import { collect, parsePort } from '../options.ts';
import { addPreparationOptions, preparationOf } from '../preparation-options.ts';

export function addTemplateCommands(program: Command, context: CliContext): void {
  const template = program
    .command('template')
    .description('templates: containers that were warmed up once, to start others from');
  template
    .command('ls')
    .description('list the templates')
    .action(() =>
      context.withPlane(
        (client) => client.templates.list(),
        (templates) => templates.map((template) => templateRow(template, context.nowMs())),
      ),
    );
  const create = template
    .command('create')
    .description('build a template from an image')
    .argument('<name>')
    .argument('<image>')
    .argument('[command...]')
    .passThroughOptions()
    .requiredOption('--guest <guest>', 'where it is built')
    .option('--tenant <tenant>', 'whose it is: checkpoints of one tenant share equal pages')
    .option('-p, --publish <port>', '[hostPort:]containerPort of what starts from it, repeatable', parsePort)
    .option('-e, --env <variable>', 'NAME=value, repeatable', collect);
  addPreparationOptions(create).action((name: string, image: string, command: string[], flags) =>
    context.withPlane(
      (client) => {
        const { guest, tenant, publish, env } = flags;
        const options = {
          ...(tenant === undefined ? {} : { tenant }),
          ...(publish === undefined ? {} : { ports: publish }),
          ...(env === undefined ? {} : { env }),
          ...(command.length > 0 ? { command } : {}),
        };
        return client.templates.create({ name, image, guest, options, ...preparationOf(flags) });
      },
      (template) => templateRow(template, context.nowMs()),
    ),
  );
  template
    .command('inspect')
    .description('everything about a template')
    .argument('<template>')
    .action((name: string) =>
      context.withPlane(
        (client) => client.templates.inspect(name),
        (record) => `${JSON.stringify(record, null, 2)}\n`,
      ),
    );
  template
    .command('rm')
    .description('remove templates and their checkpoints')
    .argument('<template...>')
    .action((names: string[]) => context.forEach(names, (client, name) => client.templates.remove(name)));
}
