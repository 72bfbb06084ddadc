import { parseExtraNetworks } from './extra-networks.ts';

/** Whether two prompts name other LoRAs, or the same ones otherwise: their text alone does not count. */
export function readsOtherNetworks(first: string, second: string): boolean {
  return loraTags(first) !== loraTags(second);
}

function loraTags(prompt: string): string {
  const tags = parseExtraNetworks(prompt).networks.get('lora') ?? [];
  return JSON.stringify(tags.map(({ items }) => items));
}
