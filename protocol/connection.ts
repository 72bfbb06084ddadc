import { z } from 'zod';

/** Route of what the page shows about who uses the bridge. */
export const CONNECTION_PATH = '/easel/v1/connection';

/** A program that asked this bridge for something since it started. */
export const clientView = z.object({
  /** A program's name or a page's host, never an address of a person. */
  name: z.string().max(200),
  requests: z.int().min(0),
  /** Milliseconds since the epoch. */
  lastSeenAt: z.number(),
  lastError: z
    .object({
      at: z.number(),
      status: z.int(),
      path: z.string().max(300),
      message: z.string().max(1000),
    })
    .nullable(),
});
export type ClientView = z.infer<typeof clientView>;

/** `GET /easel/v1/connection`. */
export const connectionView = z.object({
  /** Whether a password is asked for. */
  hasPassword: z.boolean(),
  /** Whether other machines can reach the bridge. */
  isPublic: z.boolean(),
  /** Addresses for other machines; empty where none can reach it. */
  addresses: z.array(z.string().max(300)).max(50),
  /** The newest first. */
  clients: z.array(clientView).max(100),
});
export type ConnectionView = z.infer<typeof connectionView>;
