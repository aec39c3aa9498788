// The page that lists a folder: names of its files with their sizes, and of its folders.
// clang: -Oz

import { BundleFile } from "../../runtime";
import { encodePath } from "../../net/http";

/** The page of `folder` ("/a/") among the files whose path begins with `prefix` ("www/"). */
export function listingPage(folder: string, prefix: string, files: Array<BundleFile>): string {
  const title = "Index of " + escapeHtml(folder);
  const start = prefix.substring(0, prefix.length - 1) + folder;
  const names = new Array<string>();
  const sizes = new Map<string, u32>();
  for (let i = 0; i < files.length; i++) {
    const path = files[i].path;
    if (!path.startsWith(start)) continue;
    let name = path.substring(start.length);
    const slash = name.indexOf("/");
    if (slash >= 0) name = name.substring(0, slash + 1);
    else sizes.set(name, files[i].length_bytes);
    if (!names.includes(name)) names.push(name);
  }
  names.sort();
  let rows = folder.length > 1 ? '<tr><td><a href="../">../</a></td><td></td></tr>\n' : "";
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    const size = sizes.has(name) ? sizes.get(name).toString() : "";
    // "./": a name with a colon is no scheme.
    rows += '<tr><td><a href="./' + escapeHtml(encodePath(name)) + '">' + escapeHtml(name) + "</a></td><td>";
    rows += size + "</td></tr>\n";
  }
  return (
    '<!doctype html><meta charset="utf-8"><title>' +
    (title + "</title><h1>" + title + "</h1>\n<table>\n" + rows) +
    "</table>\n"
  );
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
