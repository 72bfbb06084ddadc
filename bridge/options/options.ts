import type { AccessTokens } from '../../protocol/downloads/http-client.ts';
import type { GenerationInput } from '../../protocol/generation.ts';
import type { LogFormat, LogLevel } from '../log.ts';

/** One user of the page and the API. */
export interface Credential {
  readonly user: string;
  readonly password: string;
}

/** Where models of each kind are looked for, as absolute paths. */
export interface ModelFolders {
  readonly checkpoint: string;
  readonly lora: string;
  readonly vae: string;
  readonly embedding: string;
  readonly esrgan: string;
  readonly controlnet: string;
  readonly taesd: string;
}

/** How the owner wants the engine to run; handed to the page with the engine token. */
export interface EngineOptions {
  readonly device: string;
  readonly precision: 'auto' | 'fp32' | 'fp16' | 'q8' | 'q4';
  /** A name of the catalogue, or null for the embedded checkpoint. */
  readonly checkpoint: string | null;
  /** A name of the VAE list, or null for the one that each checkpoint has. */
  readonly vae: string | null;
  readonly allocator: 'caching' | 'simple' | 'disabled';
  readonly unloadIdleMinutes: number | null;
}

/** Where models are downloaded from, and with whose keys. */
export interface DownloadOptions {
  /** Root of the Hugging Face hub or of its mirror (`HF_ENDPOINT`), without a trailing slash. */
  readonly hubEndpoint: string;
  readonly tokens: AccessTokens;
  /** A checkpoint to download at start where it is not there, or null. */
  readonly checkpoint: string | null;
  /** `host:port` of addresses that the owner gave himself, which may lie on this machine. */
  readonly ownHosts: readonly string[];
}

/** A LoRA for every prompt that does not name it. */
export interface CommonLora {
  readonly name: string;
  readonly strength: number;
}

/** Everything the command line decides, checked and with defaults filled in. */
export interface BridgeOptions {
  /** 0 lets the system choose. */
  readonly port: number;
  readonly lora: CommonLora | null;
  /** Address to listen on beside loopback, or null for loopback alone. */
  readonly listen: string | null;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null;
  /** Empty: no password. */
  readonly credentials: readonly Credential[];
  /** File that some of them come from, read again when it changes, and those given beside it. */
  readonly passwordFile: { readonly path: string; readonly given: readonly Credential[] } | null;
  /** Origins named by flag, as written: `https://name`, `host:port`, `*`. */
  readonly origins: readonly string[];
  readonly hasDefaultOrigins: boolean;
  readonly allowsNullOrigin: boolean;
  readonly hosts: readonly string[];
  readonly printLinks: boolean;
  readonly browser: 'auto' | 'open' | 'headless' | 'none';
  readonly engine: EngineOptions;
  readonly folders: ModelFolders;
  readonly downloads: DownloadOptions;
  /** A checkpoint given as a file or folder outside the folders above. */
  readonly checkpointPath: string | null;
  /** A VAE given as a file outside the folders. */
  readonly vaePath: string | null;
  /** Folder that holds the dated folders of pictures. */
  readonly outputFolder: string;
  readonly outputFormat: 'png' | 'jpg' | 'webp';
  readonly savesMetadata: boolean;
  readonly saveImages: 'all' | 'requested';
  readonly queueSize: number;
  /** Address of the Redis or Valkey that several bridges share as their queue, or null. */
  readonly redis: string | null;
  readonly engineWaitMs: number;
  readonly finishOrphans: boolean;
  readonly dataFolder: string;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

/** One picture from the command line. */
export interface PictureOptions {
  readonly params: GenerationInput;
  readonly out: string;
}

/** What a command line asks for. */
export type Command =
  | { readonly type: 'serve'; readonly options: BridgeOptions }
  | {
      readonly type: 'picture';
      readonly options: BridgeOptions;
      readonly picture: PictureOptions;
    }
  | { readonly type: 'clear-cache'; readonly options: BridgeOptions }
  | { readonly type: 'print'; readonly text: string };

/** A command line that cannot be followed: `message` says what is wrong and what to write instead. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}
