// `heddle doctor`: what this machine has of what Heddle uses, and the command that mends what is missing.
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { accelerator } from "../accelerator.ts";
import { root } from "../services.ts";
import { installCommand, tools, which } from "../tools.ts";

interface Finding {
  state: "ok" | "missing" | "optional";
  what: string;
  detail: string;
  /** Command that mends it; packages are installed by one command at the end. */
  fix?: string;
}

function nodeFinding(): Finding {
  const ok = parseInt(process.versions.node) >= 20;
  return {
    state: ok ? "ok" : "missing",
    what: "node",
    detail: process.version + (ok ? "" : ", 20 or later is needed"),
    fix: ok ? undefined : "install Node.js 20 or later: https://nodejs.org/en/download",
  };
}

function npmFinding(): Finding {
  const { dependencies = {}, devDependencies = {} } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const wanted: Record<string, string> = { ...dependencies, ...devDependencies };
  const stale = Object.entries(wanted).filter(([name, version]) => {
    const path = join(root, "node_modules", name, "package.json");
    return !existsSync(path) || JSON.parse(readFileSync(path, "utf8")).version !== version;
  });
  return stale.length === 0
    ? { state: "ok", what: "npm packages", detail: `${Object.keys(wanted).length}, as in package.json` }
    : {
        state: "missing",
        what: "npm packages",
        detail: stale.map(([name]) => name).join(", "),
        fix: `(cd ${root} && npm ci)`,
      };
}

function version(command: string): string {
  const flag = command === "ip" ? "-V" : command === "nginx" || command === "wrk" ? "-v" : "--version";
  const { stdout, stderr } = spawnSync(which(command)!, [flag], { encoding: "utf8", timeout: 5000, input: "" });
  return (
    `${stdout ?? ""}${stderr ?? ""}`
      .split("\n")
      .find((line) => /\d+\.\d+/.test(line))
      ?.match(/\d+(\.\d+)+/)?.[0] ?? ""
  );
}

function tunFinding(): Finding {
  const what = "/dev/net/tun";
  try {
    accessSync(what, constants.R_OK | constants.W_OK);
    return { state: "ok", what, detail: "for --tap and --hosted" };
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === "ENOENT";
    return {
      state: "optional",
      what,
      detail: absent ? "does not exist; --tap and --hosted need it" : "no permission; --tap and --hosted need it",
      fix: absent ? "sudo modprobe tun" : "sudo chmod 666 /dev/net/tun",
    };
  }
}

function namespaceFinding(): Finding {
  const { status, stderr } = spawnSync("unshare", ["--user", "--map-root-user", "--net", "true"], { encoding: "utf8" });
  const what = "user namespaces";
  if (status === 0) return { state: "ok", what, detail: "for --hosted without root" };
  return {
    state: "optional",
    what,
    detail: `${(stderr ?? "").trim() || "not available"}; --hosted without --tap needs them`,
    fix: "sudo sysctl kernel.unprivileged_userns_clone=1",
  };
}

export function doctorCommand(): void {
  const findings: Finding[] = [nodeFinding(), npmFinding()];
  const packages = { required: [] as string[], optional: [] as string[] };
  for (const entry of tools) {
    const path = which(entry.command);
    if (!path) packages[entry.required ? "required" : "optional"].push(entry.package);
    findings.push({
      state: path ? "ok" : entry.required ? "missing" : "optional",
      what: entry.command,
      detail: path ? version(entry.command) : `not installed; ${entry.purpose}`,
    });
  }
  const kvm = accelerator();
  findings.push({
    state: kvm.kvm ? "ok" : "optional",
    what: "KVM",
    detail: kvm.kvm ? "" : `${kvm.reason}; images run in emulation (TCG)`,
  });
  findings.push(tunFinding(), namespaceFinding());

  const label = { ok: "ok       ", missing: "MISSING  ", optional: "-        " };
  for (const { state, what, detail } of findings) console.log(`${label[state]}${what.padEnd(20)}${detail}`.trimEnd());
  const fixes = (wanted: Finding["state"]) => findings.filter((f) => f.state === wanted && f.fix).map((f) => f.fix!);
  const needed = [...fixes("missing"), ...(packages.required.length ? [installCommand(packages.required)] : [])];
  const useful = [...fixes("optional"), ...(packages.optional.length ? [installCommand(packages.optional)] : [])];
  if (needed.length > 0) console.log(`\nNeeded:\n${needed.map((line) => `  ${line}`).join("\n")}`);
  if (useful.length > 0) console.log(`\nOptional:\n${useful.map((line) => `  ${line}`).join("\n")}`);
  if (needed.length === 0) console.log("\nEverything that building and running needs is here.");
  process.exitCode = findings.some((f) => f.state === "missing") ? 1 : 0;
}
