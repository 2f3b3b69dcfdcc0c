/**
 * The one table of error codes. Each edge maps it once: the HTTP APIs to statuses (here), the CLI to
 * exit codes (offload-plane/cli). docs/errors.md lists the same table; a test holds the two together.
 */
export const ERROR_STATUS = {
  invalid_request: 400,
  unauthorized: 401,
  not_found: 404,
  method_not_allowed: 405,
  already_exists: 409,
  invalid_state: 409,
  cancelled: 409,
  version_mismatch: 409,
  idempotency_mismatch: 422,
  interrupted: 503,
  unusable_state: 500,
  incomplete_checkpoint: 409,
  body_too_large: 413,
  unsupported_media_type: 415,
  digest_mismatch: 422,
  invalid_image: 422,
  invalid_checkpoint: 422,
  corrupt_page: 422,
  page_protocol_violation: 400,
  no_space: 507,
  program_not_found: 422,
  program_not_executable: 422,
  guest_lost: 502,
  registry_failed: 502,
  runtime_failed: 500,
  deadline_exceeded: 504,
  internal: 500,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

/**
 * An error a user may see. The message is one line: operation, subject, cause and, where there is
 * one, the limit with its unit.
 */
export class OffloadError extends Error {
  override readonly name = 'OffloadError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message.replace(/\s*\n\s*/g, ' ').trim(), options);
    this.code = code;
  }

  get status(): number {
    return ERROR_STATUS[this.code];
  }
}

/** Anything thrown, as an OffloadError; what is none already becomes `internal` with its cause kept. */
export function toOffloadError(error: unknown, operation: string): OffloadError {
  if (error instanceof OffloadError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new OffloadError('internal', `${operation}: ${message}`, { cause: error });
}
