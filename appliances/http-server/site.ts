// A site from a folder of the bundles: a resource for each file with the variants that were packed, its folder's path for an
// index file or a listing, and a redirect from a folder's name without slash, so that relative links work.
//
// What `heddle` packs beside the files: `.packed/gzip/PATH`, `.packed/br/PATH`, and `.packed/types` with a line "extension type"
// for each kind of file.
// clang: -Oz

import { Bundles } from "../../runtime";
import { Coding, fileResource, madeResource, mediaType, redirectResource, Resource, Site } from "../../net/http";
import { listingPage } from "./listing";

const PACKED = ".packed/";

/** Media types: those that were packed, else the ones that every image knows. */
export class MediaTypes {
  private readonly types: Map<string, string> = new Map<string, string>();

  constructor(bundles: Bundles) {
    this.read(bundles, true);
    this.read(bundles, false);
  }

  private read(bundles: Bundles, embedded: bool): void {
    const file = (embedded ? bundles.embedded : bundles.boot).find(PACKED + "types");
    if (file == null) return;
    const lines = String.UTF8.decodeUnsafe(file.address, file.length_bytes).split("\n");
    for (let i = 0; i < lines.length; i++) {
      const space = lines[i].indexOf(" ");
      if (space > 0 && isValue(lines[i])) this.types.set(lines[i].substring(0, space), lines[i].substring(space + 1));
    }
  }

  of(path: string): string {
    const dot = path.lastIndexOf(".");
    const extension = dot > path.lastIndexOf("/") ? path.substring(dot + 1).toLowerCase() : "";
    return this.types.has(extension) ? this.types.get(extension) : mediaType(path);
  }
}

/** Whether a text can be a field's value: printable ASCII. */
export function isValue(text: string): bool {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 0x20 || c > 0x7e) return false;
  }
  return true;
}

/** The site of a folder; null when it has no files. */
export function buildSite(
  bundles: Bundles,
  types: MediaTypes,
  root: string,
  index: Array<string>,
  listing: bool,
): Site | null {
  const prefix = root.endsWith("/") ? root : root + "/";
  const files = bundles.under(prefix);
  if (files.length == 0) return null;
  const site = new Site(3 * files.length);
  for (let i = 0; i < files.length; i++) {
    const file = files[i];
    const type = types.of(file.path);
    const gzip = variant(bundles, file.path, type, Coding.GZIP);
    const brotli = variant(bundles, file.path, type, Coding.BROTLI);
    const resource = fileResource(type, file.address, file.length_bytes, 0, gzip != null || brotli != null);
    resource.gzip = gzip;
    resource.brotli = brotli;
    site.add(file.path.substring(prefix.length - 1), resource);
  }
  // In the order of the names: of two index files in a folder the first name wins.
  for (let k = 0; k < index.length; k++) {
    for (let i = 0; i < files.length; i++) {
      const path = files[i].path.substring(prefix.length - 1);
      if (!path.endsWith("/" + index[k])) continue;
      addFolder(site, path.substring(0, path.length - index[k].length), site.get(path)!);
    }
  }
  if (!listing) return site;
  const folders = new Set<string>();
  for (let i = 0; i < files.length; i++) {
    const path = files[i].path.substring(prefix.length - 1);
    for (let slash = path.lastIndexOf("/"); slash >= 0; slash = slash > 0 ? path.lastIndexOf("/", slash - 1) : -1) {
      const folder = path.substring(0, slash + 1);
      if (folders.has(folder)) break;
      folders.add(folder);
      if (site.get(folder) != null) continue;
      addFolder(site, folder, madeResource("text/html; charset=utf-8", listingPage(folder, prefix, files)));
    }
  }
  return site;
}

function addFolder(site: Site, folder: string, resource: Resource): void {
  site.add(folder, resource);
  if (folder.length > 1) site.add(folder.substring(0, folder.length - 1), redirectResource(folder));
}

/** The packed variant of a file, from the bundle that has the file: another's would be of other content. */
function variant(bundles: Bundles, path: string, type: string, coding: u32): Resource | null {
  const from = bundles.boot.find(path) != null ? bundles.boot : bundles.embedded;
  const file = from.find(PACKED + (coding == Coding.GZIP ? "gzip/" : "br/") + path);
  return file == null ? null : fileResource(type, file.address, file.length_bytes, coding, true);
}
