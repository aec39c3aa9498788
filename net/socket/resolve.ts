// Names to addresses for fibers: literal addresses, localhost (RFC 6761, 6.3), and what the name servers say. Servers are those of the
// configuration's `dns`, else those that DHCP and router advertisements gave.
//
// clang: -Oz

import { Errno } from "../../runtime";
import { Fiber, spawn } from "../../fibers";
import { Answer } from "../dns/cache";
import { Resolver } from "../dns/resolver";
import { isLinkLocal, isV4, parseAddress, v4 } from "../ip/address";
import { coreStack } from "../source";
import { Stack } from "../stack";
import { DnsType, isDnsName } from "../wire/dns";
import { NO_DEADLINE } from "./stream";

/** Addresses as pairs; IPv6 first where the machine has it (RFC 6724, 2.1). */
export class Addresses {
  readonly hi: Array<u64> = [];
  readonly lo: Array<u64> = [];

  get length(): i32 {
    return this.lo.length;
  }

  add(hi: u64, lo: u64): void {
    this.hi.push(hi);
    this.lo.push(lo);
  }
}

/** What the configuration says of names. */
export class NameSettings {
  /** Addresses of servers, high and low half by turns; none: those that the network tells. */
  servers: Array<u64> = [];
  /** Domains in which a name without a dot is looked for. */
  search: Array<string> = [];
}

const resolver: Resolver = new Resolver();
let settings: NameSettings = new NameSettings();
let lastError: i32 = 0;

/** Uses other servers and domains from now on. */
export function configureNames(names: NameSettings): void {
  settings = names;
  resolver.forget();
}

/** Why the last `resolve` gave null: ENOENT (no such name, or no address of it), EINVAL (no name), ETIMEDOUT, ENETDOWN (no server), ... */
export function resolveError(): i32 {
  return lastError;
}

/**
 * Addresses of a name or of an address as text.
 * @param name "example.org"; one without a dot is looked for in the domains of `search` first
 * @returns at least one address, or null with `resolveError()`
 */
export function resolve(name: string, deadline_ns: i64 = NO_DEADLINE): Addresses | null {
  lastError = 0;
  const addresses = new Addresses();
  const literal = parseAddress(name);
  if (literal.ok && literal.prefix < 0) {
    addresses.add(literal.hi, literal.lo);
    return addresses;
  }
  lastError = Errno.EINVAL;
  if (!isDnsName(name)) return null;
  let plain = name.toLowerCase();
  const absolute = plain.endsWith(".");
  if (absolute) plain = plain.substring(0, plain.length - 1);
  if (plain == "localhost" || plain.endsWith(".localhost")) {
    addresses.add(0, v4(0x7f000001));
    return addresses;
  }
  lastError = Errno.ENETDOWN;
  const stack = coreStack();
  if (stack == null) return null;
  resolver.servers = serversOf(stack);
  if (!absolute && plain.indexOf(".") < 0) {
    for (let i = 0; i < settings.search.length; i++) {
      const full = plain + "." + settings.search[i];
      if (!isDnsName(full)) continue;
      if (both(stack, full, addresses, deadline_ns)) return addresses;
      if (lastError != Errno.ENOENT) return null;
    }
  }
  return both(stack, plain, addresses, deadline_ns) ? addresses : null;
}

function serversOf(stack: Stack): StaticArray<u64> {
  let servers = settings.servers;
  for (let i = 0; settings.servers.length == 0 && i < stack.interfaces.length; i++)
    servers = servers.concat(stack.interfaces[i].nameServers).concat(stack.interfaces[i].nameServers6);
  return StaticArray.fromArray<u64>(servers);
}

/** A question that a fiber of its own asks. */
class Question {
  answer: Answer | null = null;
  error: i32 = 0;
  constructor(
    readonly name: string,
    readonly type: DnsType,
    readonly deadline_ns: i64,
  ) {}

  ask(): void {
    this.answer = resolver.lookup(this.name, this.type, this.deadline_ns);
    if (this.answer == null) this.error = resolver.error;
  }
}

function askAside(question: Question): void {
  question.ask();
}

// Asks for addresses of both versions at once, as far as the machine has them.
function both(stack: Stack, name: string, to: Addresses, deadline_ns: i64): bool {
  const four = new Question(name, DnsType.A, deadline_ns);
  let six: Question | null = null;
  let aside: Fiber | null = null;
  if (hasSix(stack)) {
    six = new Question(name, DnsType.AAAA, deadline_ns);
    aside = spawn<Question>(askAside, six);
    if (aside == null) six.ask();
  }
  four.ask();
  if (aside != null) aside.join();
  if (six != null) addAll(to, six.answer);
  addAll(to, four.answer);
  if (to.length > 0) return true;
  lastError = four.error != 0 ? four.error : Errno.ENOENT;
  // That there is no address of one version is no error where the other could not be asked for.
  if (six != null && four.answer != null && six.error != 0 && six.error != Errno.ENOENT) lastError = six.error;
  return false;
}

function addAll(to: Addresses, answer: Answer | null): void {
  for (let i = 0; answer != null && i < answer.lo.length; i++) to.add(answer.hi[i], answer.lo[i]);
}

// Whether the machine has an IPv6 address that reaches beyond its link.
function hasSix(stack: Stack): bool {
  for (let i = 0; i < stack.interfaces.length; i++) {
    const addresses = stack.interfaces[i].addresses;
    for (let k = 0; k < addresses.length; k++) {
      const hi = addresses[k].hi;
      if (!isV4(hi, addresses[k].lo) && !isLinkLocal(hi, addresses[k].lo)) return true;
    }
  }
  return false;
}
