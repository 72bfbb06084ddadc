import { z } from 'zod';

/** Route of what the options are, for the page's settings; their values are A1111's `/sdapi/v1/options`. */
export const OPTION_LIST_PATH = '/easel/v1/options';

/** One option as a person sets it. */
export const optionDescription = z.object({
  key: z.string(),
  default: z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]),
  status: z.enum(['works', 'no effect', 'read only']),
  /** What it does, or why it does nothing. */
  about: z.string(),
  /** The values that it takes; absent where any of its type will do. */
  choices: z.array(z.string()).optional(),
  min: z.number().optional(),
  max: z.number().optional(),
});
export type OptionDescription = z.infer<typeof optionDescription>;

export const optionList = z.object({ options: z.array(optionDescription) });

/** `GET /sdapi/v1/options`, as far as the page knows nothing of it. */
export const optionValues = z.record(z.string(), z.unknown());
export type OptionValues = z.infer<typeof optionValues>;
