// The section `tls` (CONFIG.md): policy, certificates by name, the secret of session tickets. What names a file is resolved in
// the bundles while reading; whether keys belong to their certificates only the platform can tell, when a context is made.

import {
  BundleFile,
  Bundles,
  ConfigSource,
  Errno,
  log,
  LogLevel,
  Section,
  TlsPolicy,
  tlsTicketSecret,
  wallTime,
} from "../../runtime";
import { TlsContext } from "./context";

/** Days before its end from which on a certificate is warned of. */
const WARN_DAYS: i64 = 14;
const DAY_S: i64 = 86400;
const NS_PER_S: i64 = 1_000_000_000;

export class TlsCertificateSettings {
  constructor(
    readonly name: string,
    /** PEM in the bundle. */
    readonly chain: usize,
    readonly chainBytes: u32,
    readonly key: string,
    /** Its authority's response, DER; 0: none. */
    readonly ocsp: usize,
    readonly ocspBytes: u32,
    /** Where it stands in the configuration. */
    readonly node: u32,
  ) {}
}

/** Whether clients are asked for certificates, and who may have signed them. */
export class ClientAuth {
  wanted: bool = false;
  required: bool = false;
  authorities: usize = 0;
  authoritiesBytes: u32 = 0;
  node: u32 = 0;
}

/** Reads `clientAuth` and `clientAuthorities` of a listening service. */
export function readClientAuth(section: Section, bundles: Bundles): ClientAuth {
  const clients = new ClientAuth();
  const source = section.source;
  const mode = section.choice("clientAuth", ["none", "optional", "required"], 0);
  clients.wanted = mode > 0;
  clients.required = mode == 2;
  clients.node = section.get("clientAuthorities");
  if (clients.node != 0) {
    const file = readFile(source, clients.node, bundles);
    if (file != null) {
      clients.authorities = file.address;
      clients.authoritiesBytes = file.length_bytes;
    }
  }
  if (clients.wanted && clients.node == 0)
    source.fail(section.get("clientAuth"), 'needs "clientAuthorities": who may sign the certificates of clients');
  return clients;
}

export class TlsSettings {
  policy: TlsPolicy = TlsPolicy.INTERMEDIATE;
  readonly certificates: Array<TlsCertificateSettings> = [];
  ticketKeys: string = "";
  ticketNode: u32 = 0;

  find(name: string): TlsCertificateSettings | null {
    for (let i = 0; i < this.certificates.length; i++)
      if (this.certificates[i].name == name) return this.certificates[i];
    return null;
  }
}

/** Reads the section. */
export function readTls(section: Section, bundles: Bundles): TlsSettings {
  const settings = new TlsSettings();
  const source = section.source;
  settings.policy = <TlsPolicy>section.choice("policy", ["modern", "intermediate"], TlsPolicy.INTERMEDIATE);
  settings.ticketNode = section.get("ticketKeys");
  if (settings.ticketNode != 0) settings.ticketKeys = readSecret(source, settings.ticketNode, bundles);
  const certificates = section.section("certificates");
  const document = section.document;
  if (certificates.node != 0) {
    for (let child = document.first(certificates.node); child != 0; child = document.next(child)) {
      const one = readCertificate(document.key(child), new Section(source, child), bundles);
      if (one != null) settings.certificates.push(one);
    }
  }
  section.finish();
  return settings;
}

function readCertificate(name: string, section: Section, bundles: Bundles): TlsCertificateSettings | null {
  const source = section.source;
  const chainNode = section.get("chain");
  const keyNode = section.get("key");
  const ocspNode = section.get("ocsp");
  section.finish();
  if (chainNode == 0) source.fail(section.node, 'needs "chain": a file in the bundle with the certificate as PEM');
  if (keyNode == 0)
    source.fail(section.node, 'needs "key": the secret with its private key, such as "secrets/site.key"');
  if (chainNode == 0 || keyNode == 0) return null;
  const key = readSecret(source, keyNode, bundles);
  const file = readFile(source, chainNode, bundles);
  let ocsp: usize = 0;
  let ocspBytes: u32 = 0;
  if (ocspNode != 0) {
    const response = readFile(source, ocspNode, bundles);
    if (response == null) return null;
    ocsp = response.address;
    ocspBytes = response.length_bytes;
  }
  if (file == null || key.length == 0) return null;
  return new TlsCertificateSettings(name, file.address, file.length_bytes, key, ocsp, ocspBytes, section.node);
}

/** A file of the bundle that is no secret; null, and a mistake, when there is none. */
export function readFile(source: ConfigSource, node: u32, bundles: Bundles): BundleFile | null {
  const path = source.text(node, "a file in the bundle");
  if (path == null) return null;
  const file = bundles.find(path);
  if (file != null && !path.startsWith("secrets/")) return file;
  source.fail(node, "the bundle has no file " + path);
  return null;
}

/** The path of a secret, "secrets/NAME"; empty, and a mistake, when there is none of it. */
function readSecret(source: ConfigSource, node: u32, bundles: Bundles): string {
  const wanted = 'the path of a secret, such as "secrets/site.key"';
  const path = source.text(node, wanted);
  if (path == null) return "";
  if (!path.startsWith("secrets/")) source.wrong(node, wanted);
  else if (bundles.find(path) == null) source.fail(node, "the bundle has no file " + path);
  else return path;
  return "";
}

/** Gives the platform the secret of tickets, if one is configured. Once on each core; what is wrong goes to the problems. */
export function startTickets(settings: TlsSettings, source: ConfigSource): void {
  if (settings.ticketKeys.length == 0) return;
  const name = String.UTF8.encode(settings.ticketKeys);
  const status = tlsTicketSecret(changetype<usize>(name), name.byteLength);
  if (status < 0) source.fail(settings.ticketNode, "needs at least 32 bytes");
}

/**
 * A server's context with the named certificates, or null with problems.
 * @param nodes where each name stands
 */
export function serverContext(
  settings: TlsSettings,
  names: Array<string>,
  protocols: Array<string>,
  clients: ClientAuth,
  source: ConfigSource,
): TlsContext | null {
  const context = new TlsContext(settings.policy, false);
  if (context.handle < 0 || context.setProtocols(protocols) < 0) {
    source.problems.add(0, "", "no memory for TLS");
    return null;
  }
  if (clients.wanted && context.trust(clients.authorities, clients.authoritiesBytes, clients.required) < 0) {
    source.fail(clients.node, "holds no certificate in PEM");
    return null;
  }
  for (let i = 0; i < names.length; i++) {
    const certificate = settings.find(names[i])!;
    const index = context.add(certificate.chain, certificate.chainBytes, certificate.key);
    if (index < 0) {
      source.fail(certificate.node, reason(index));
      return null;
    }
    if (certificate.ocsp != 0 && context.staple(index, certificate.ocsp, certificate.ocspBytes) < 0) {
      source.fail(
        certificate.node,
        "its OCSP response is empty, above 16 KiB, or a certificate with another kind of key has the same names",
      );
      return null;
    }
    judge(context, index, certificate.name);
  }
  return context;
}

function reason(error: i32): string {
  if (error == Errno.EINVAL) return "its chain holds no certificate in PEM";
  if (error == Errno.ENOENT) return "the bundle has no such key";
  if (error == Errno.EPROTO) return "its key is no private key in PEM, or is encrypted";
  if (error == Errno.EPERM) return "its key belongs to another certificate";
  if (error == Errno.ENOSPC) return "is one certificate too many: 64 in one place";
  return "cannot be used: error " + error.toString();
}

/** Says what the clock makes of a certificate. It is served all the same: clients decide. */
function judge(context: TlsContext, index: i32, name: string): void {
  const now_s = wallTime() / NS_PER_S;
  if (now_s == 0) {
    log(LogLevel.WARN, "tls: the time is unknown, certificate " + name + " is not judged");
    return;
  }
  const left_s = context.notAfter_s(index) - now_s;
  if (left_s < 0)
    log(LogLevel.ERROR, "tls: certificate " + name + " expired " + (-left_s / DAY_S).toString() + " days ago");
  else if (context.notBefore_s(index) > now_s) log(LogLevel.ERROR, "tls: certificate " + name + " is not valid yet");
  else if (left_s < WARN_DAYS * DAY_S)
    log(LogLevel.WARN, "tls: certificate " + name + " expires in " + (left_s / DAY_S).toString() + " days");
  else log(LogLevel.INFO, "tls: certificate " + name + " is valid for " + (left_s / DAY_S).toString() + " days");
}
