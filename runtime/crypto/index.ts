// Digests and codes, in AssemblyScript: for tokens, passwords and keyed tables. Nothing here holds a private key.
export { equalDigests, Sha256, sha256, SHA256_BYTES } from "./sha256";
export { HmacSha256, Pbkdf2 } from "./hmac";
export { sipHash } from "./siphash";
