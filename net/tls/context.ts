// What TLS connections have in common: policy, certificates with their keys, protocols. The platform has all of it; this is
// its handle. One for each core and purpose, made at start and never freed.

import {
  openBundles,
  Errno,
  tlsCertificate,
  tlsCertificateFact,
  TlsCertificateFact,
  tlsContext,
  TlsPolicy,
  tlsProtocols,
  tlsStaple,
  tlsTrust,
} from "../../runtime";

export class TlsContext {
  /** The platform's number, or a negative Errno: ENOMEM, ENOSPC. */
  readonly handle: i32;
  /** Certificates added so far. */
  certificates: i32 = 0;

  constructor(policy: TlsPolicy, client: bool) {
    this.handle = tlsContext(policy, client);
  }

  /**
   * Adds a certificate.
   * @param chain, bytes PEM: the leaf, then what leads to the root
   * @param key path of its key in the bundle, "secrets/NAME"
   * @returns its index, or EINVAL (no certificate), ENOENT (no such secret), EPROTO (the secret is no key), EPERM (it belongs
   *   to another certificate), ENOMEM, ENOSPC
   */
  add(chain: usize, bytes: u32, key: string): i32 {
    const name = String.UTF8.encode(key);
    const index = tlsCertificate(this.handle, chain, bytes, changetype<usize>(name), name.byteLength);
    if (index >= 0) this.certificates++;
    return index;
  }

  /** `add` with the path of the chain in the bundle; ENOENT too where there is no such file. */
  addFile(chain: string, key: string): i32 {
    const file = openBundles().find(chain);
    return file == null ? Errno.ENOENT : this.add(file.address, file.length_bytes, key);
  }

  /** `trust` with the path of a file in the bundle; ENOENT. */
  trustFile(path: string, required: bool): i32 {
    const file = openBundles().find(path);
    return file == null ? Errno.ENOENT : this.trust(file.address, file.length_bytes, required);
  }

  /**
   * Adds, before any certificate of its own, certificates as PEM of those who may sign the peers'. A client trusts nobody else;
   * a server asks clients for certificates, and with `required` refuses those without.
   * @returns how many there were; EINVAL: none
   */
  trust(pem: usize, bytes: u32, required: bool): i32 {
    return tlsTrust(this.handle, pem, bytes, required);
  }

  /** Gives a certificate its authority's response (OCSP, DER). EINVAL; EPERM: another kind of key has the same names; ENOMEM. */
  staple(index: i32, der: usize, bytes: u32): i32 {
    return tlsStaple(this.handle, index, der, bytes);
  }

  /** Until when a certificate is valid, seconds since 1970. */
  notAfter_s(index: i32): i64 {
    return tlsCertificateFact(this.handle, index, TlsCertificateFact.NOT_AFTER_S);
  }
  notBefore_s(index: i32): i64 {
    return tlsCertificateFact(this.handle, index, TlsCertificateFact.NOT_BEFORE_S);
  }

  /** Sets the application protocols (RFC 7301), best first: "http/1.1". EINVAL: more than 64 bytes. */
  setProtocols(names: Array<string>): i32 {
    const list = new Array<u8>();
    for (let i = 0; i < names.length; i++) {
      const length = names[i].length;
      if (length == 0 || length > 63) return Errno.EINVAL;
      list.push(<u8>length);
      for (let k = 0; k < length; k++) list.push(<u8>names[i].charCodeAt(k));
    }
    return tlsProtocols(this.handle, list.dataStart, list.length);
  }
}
