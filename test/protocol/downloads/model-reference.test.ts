import { describe, expect, test } from 'vitest';
import {
  looksLikeReference,
  parseModelReference,
  referenceText,
  shownReference,
} from '../../../protocol/downloads/model-reference.ts';

const hubFile = (repo: string, revision: string, path: string) => ({
  ...{ type: 'hub-file', repo, revision, path },
});
const civitai = (modelId: number | null, versionId: number | null, more = {}) => ({
  ...{ type: 'civitai', modelId, versionId, wants: {}, token: null, ...more },
});

describe('a model reference', () => {
  test.each([
    ['owner/name', { type: 'hub-repo', repo: 'owner/name', revision: null }],
    [' owner/name@v1.0 ', { type: 'hub-repo', repo: 'owner/name', revision: 'v1.0' }],
    ['owner/name@refs/pr/3', { type: 'hub-repo', repo: 'owner/name', revision: 'refs/pr/3' }],
    ['https://huggingface.co/a/b', { type: 'hub-repo', repo: 'a/b', revision: null }],
    ['https://hf.co/a/b/tree/fp16', { type: 'hub-repo', repo: 'a/b', revision: 'fp16' }],
    ['https://huggingface.co/a/b/blob/main/x.safetensors', hubFile('a/b', 'main', 'x.safetensors')],
    [
      'https://huggingface.co/a/b/resolve/refs%2Fpr%2F1/sub/x%20y.safetensors?download=true',
      hubFile('a/b', 'refs/pr/1', 'sub/x y.safetensors'),
    ],
    ['a/b/sub/x.safetensors', hubFile('a/b', 'main', 'sub/x.safetensors')],
    ['https://civitai.com/api/download/models/128713', civitai(null, 128713)],
    [
      'https://civitai.com/api/download/models/1?type=Model&format=SafeTensor&fp=fp16&token=s3cret',
      civitai(null, 1, {
        wants: { type: 'Model', format: 'SafeTensor', fp: 'fp16' },
        token: 's3cret',
      }),
    ],
    ['https://civitai.com/models/4384/dreamshaper?modelVersionId=128713', civitai(4384, 128713)],
    ['https://civitai.com/models/4384/dreamshaper', civitai(4384, null)],
    ['urn:air:sd1:checkpoint:civitai:4384@128713', civitai(4384, 128713)],
    [
      'https://host.example/x.safetensors',
      { type: 'url', url: 'https://host.example/x.safetensors' },
    ],
    ['http://localhost:9/x.safetensors', { type: 'url', url: 'http://localhost:9/x.safetensors' }],
  ])('%s', (text, expected) => {
    expect(parseModelReference(text)).toEqual(expected);
  });

  test.each([
    '',
    'name',
    'a/b@',
    'a/b@..',
    '../b',
    'a/b/../c.safetensors',
    'https://huggingface.co/datasets/a/b',
    'https://huggingface.co/a/b/tree/main/unet',
    'https://civitai.com/images/1',
    'http://host.example/x.safetensors',
    'ftp://host.example/x.safetensors',
    'file:///etc/passwd',
    'https://user:pass@host.example/x.safetensors',
    'https://',
    'x'.repeat(3000),
  ])('is refused with a sentence: %s', (text) => {
    expect(() => parseModelReference(text)).toThrow(/^[A-Z"].*\.$/);
  });

  test('of a mirror is that of the hub', () => {
    const hubEndpoint = 'https://mirror.example/hf';
    expect(parseModelReference('https://mirror.example/hf/a/b', { hubEndpoint })).toEqual({
      ...{ type: 'hub-repo', repo: 'a/b', revision: null },
    });
  });

  test('is written so that it is read the same, and without keys', () => {
    for (const text of [
      'a/b@v1',
      'https://huggingface.co/a/b/resolve/refs%2Fpr%2F1/sub/x%20y.safetensors',
      'https://civitai.com/models/4384',
      'https://civitai.com/api/download/models/1?fp=fp16',
    ]) {
      const reference = parseModelReference(text);
      expect(parseModelReference(referenceText(reference))).toEqual(reference);
    }
    const secret = parseModelReference('https://civitai.com/api/download/models/1?token=s3cret');
    expect(referenceText(secret)).not.toContain('s3cret');
    const signed = parseModelReference('https://host.example/x.safetensors?sig=s3cret');
    expect(shownReference(signed)).toBe('https://host.example/x.safetensors');
  });

  test('is told from names and paths on the command line', () => {
    expect(looksLikeReference('owner/name')).toBe(true);
    expect(looksLikeReference('https://x.example/y')).toBe(true);
    expect(looksLikeReference('dreamshaper_8')).toBe(false);
    expect(looksLikeReference('./diffusers-model')).toBe(false);
    expect(looksLikeReference('/models/x.safetensors')).toBe(false);
    expect(looksLikeReference('C:\\models\\x')).toBe(false);
  });
});
