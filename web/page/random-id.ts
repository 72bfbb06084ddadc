/** 32 random hex digits. `crypto.randomUUID` would not do: pages served by http over the LAN lack it. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
