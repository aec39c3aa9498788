// Media types by file extension (the IANA registry; RFC 9239 for JavaScript): what browsers need to show a site.

/** The Content-Type of a path. What is unknown is a download, never guessed from the content. */
export function mediaType(path: string): string {
  const dot = path.lastIndexOf(".");
  const extension = dot > path.lastIndexOf("/") ? path.substring(dot + 1).toLowerCase() : "";
  for (let i = 0; i < TYPES.length; i += 2) if (TYPES[i] == extension) return TYPES[i + 1];
  return "application/octet-stream";
}

const TYPES: StaticArray<string> = [
  "html", "text/html; charset=utf-8",
  "htm", "text/html; charset=utf-8",
  "css", "text/css; charset=utf-8",
  "js", "text/javascript; charset=utf-8",
  "mjs", "text/javascript; charset=utf-8",
  "json", "application/json",
  "map", "application/json",
  "webmanifest", "application/manifest+json",
  "wasm", "application/wasm",
  "txt", "text/plain; charset=utf-8",
  "md", "text/markdown; charset=utf-8",
  "csv", "text/csv; charset=utf-8",
  "xml", "application/xml",
  "atom", "application/atom+xml",
  "pdf", "application/pdf",
  "svg", "image/svg+xml",
  "png", "image/png",
  "jpg", "image/jpeg",
  "jpeg", "image/jpeg",
  "gif", "image/gif",
  "webp", "image/webp",
  "avif", "image/avif",
  "ico", "image/vnd.microsoft.icon",
  "woff", "font/woff",
  "woff2", "font/woff2",
  "ttf", "font/ttf",
  "otf", "font/otf",
  "mp3", "audio/mpeg",
  "ogg", "audio/ogg",
  "wav", "audio/wav",
  "mp4", "video/mp4",
  "webm", "video/webm",
  "zip", "application/zip",
  "gz", "application/gzip",
  "tar", "application/x-tar",
];
