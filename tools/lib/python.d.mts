export function findPython(): string | null;
export function ensurePython(): string;
export function ensureClients(): string;
