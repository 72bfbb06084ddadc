import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { a1111Routes } from '../../../bridge/a1111/routes.ts';
import type { A1111Settings } from '../../../bridge/a1111/settings.ts';
import { type FakeOptions, fakeServices } from './fake-services.ts';

/** The reply of txt2img and img2img as a client reads it. */
export interface ImagesReply {
  images: string[];
  parameters: Record<string, unknown>;
  info: string;
}

/** A1111's routes over fake services, and short ways to ask them. */
export function createServer(options: FakeOptions = {}, settings: A1111Settings = {}) {
  const fake = fakeServices(options);
  const app = a1111Routes(fake.services, settings);
  async function get<T = Record<string, unknown>>(path: string): Promise<T> {
    const response = await app.request(path);
    expect(response.status, path).toBe(200);
    expect(response.headers.get('content-type'), path).toMatch(/^application\/json/);
    return (await response.json()) as T;
  }
  async function post(path: string, body: unknown, headers: Record<string, string> = {}) {
    return await app.request(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  }
  async function generate(body: unknown, route = 'txt2img') {
    const response = await post(`/sdapi/v1/${route}`, body);
    const text = await response.text();
    expect(response.status, text).toBe(200);
    const reply = JSON.parse(text) as ImagesReply;
    return { reply, info: JSON.parse(reply.info), params: fake.requests.at(-1)!.params };
  }
  return { app, get, post, generate, ...fake };
}

/** Waits until something is so, for jobs that start a few turns of the event loop later. */
export async function until(isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !isSo(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(isSo()).toBe(true);
}

/** One file of A1111's own numbers, e.g. `pipeline.json`; the caller says what it reads of it. */
export function readVectors<T>(file: string): T {
  const url = new URL(`../../fixtures/vectors/${file}`, import.meta.url);
  return JSON.parse(readFileSync(url, 'utf8')) as T;
}

/** `sampler-aliases.json`, as far as the routes are concerned. */
export interface SamplerAliases {
  samplers: { name: string; aliases: string[]; options: Record<string, string | boolean> }[];
  sampler_and_scheduler: { sampler: string | null; scheduler: string | null; result: string[] }[];
}
