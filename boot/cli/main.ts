// The `heddle` command: its sub-commands and options. What each does stands in commands/, one file each.
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { readFileSync } from "node:fs";
import { BuildError } from "../toolchain/index.ts";
import { buildCommand } from "./commands/build.ts";
import { setCommand, showCommand } from "./commands/config.ts";
import { checkCommand } from "./commands/check.ts";
import { explainCommand } from "./commands/explain.ts";
import { imageCommand, imagesCommand } from "./commands/image.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { newCommand } from "./commands/new.ts";
import { runCommand } from "./commands/run.ts";
import { ImageError } from "../image/elf.ts";
import { Problem } from "./problem.ts";
import { machines, nics } from "./qemu.ts";
import { appliances } from "./services.ts";

const service = () =>
  new Argument("<NAME|DIR>", `an appliance (${appliances().join(", ") || "none yet"}) or the folder of a service`);

function count(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text)) throw new InvalidArgumentError("Must be a number from 1 on.");
  return Number(text);
}

const list = (text: string) => text.split(",").filter((item) => item !== "");
const collect = (text: string, before: string[] = []) => [...before, text];

const version = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;
const program = new Command("heddle")
  .description("Builds services and appliances in TypeScript into unikernel images, and runs them.")
  .version(version)
  .showSuggestionAfterError()
  .showHelpAfterError("(add --help for what there is)")
  .addHelpText(
    "after",
    `
Examples:
  heddle run http-server            build the HTTP server, boot it in QEMU and print its URL
  heddle new echo && heddle run echo
  heddle doctor                     what is installed, what is missing, how to get it`,
  );

program
  .command("build")
  .summary("build images")
  .description("Builds images: NAME.elf for machines (PVH: QEMU -kernel, Firecracker) and NAME.linux, a Linux process.")
  .addArgument(service())
  .addOption(new Option("--platform <WHICH>", "which image").choices(["pc", "linux", "both"]).default("both"))
  .option("--edit", "build quickly, without optimising: for the edit-and-run loop, not for use")
  .option("--disk", "write a disk image as well (BIOS; VirtualBox, clouds): NAME.img")
  .option("--config <FILE|DIR>", "with --disk: the bundle to put into the disk image")
  .option("--out <DIR>", "where to (default: dist/NAME of the repository, or DIR/dist)")
  .addHelpText(
    "after",
    `
Examples:
  heddle build http-server
  heddle build ./echo --platform pc --out /tmp/echo
  heddle build http-server --disk --config configs/http-server.json`,
  )
  .action(buildCommand);

program
  .command("run")
  .summary("build an image and run it")
  .description(
    "Builds an image and boots it in QEMU, without root: ports of the image are reached by 127.0.0.1. Its console goes " +
      "to stdout, what heddle says to stderr. Ctrl-C stops it.",
  )
  .addArgument(service())
  .option("--hosted", "run it as a Linux process instead of a machine (without --tap: in a network namespace)")
  .addOption(
    new Option("--machine <TYPE>", "kind of machine (default: microvm, or what --disk and --nic need)").choices(
      machines,
    ),
  )
  .option("--disk", "boot from a disk image, by our boot sector")
  .addOption(new Option("--nic <KIND>", "network card (default: virtio)").choices(nics))
  .option("--cpus <N>", "number of CPUs", count, 1)
  .option("--memory <SIZE>", "memory, 16MiB to 3GiB", "128MiB")
  .option("--port <HOST:GUEST>", "forward a port of 127.0.0.1; GUEST/udp for UDP; can be repeated", collect)
  .option("--tap <IF[,IF...]>", "use TAP devices as eth0, eth1, ... instead of user-mode networking", list)
  .option("--config <FILE|DIR>", "configuration: JSON, a ustar archive, or a folder with config.json")
  .option("--pcap <FILE>", "record the frames of the network cards (FILE, FILE.1, ...)")
  .option("--gdb", "wait for gdb (its command is printed)")
  .option("--edit", "build quickly, without optimising: for the edit-and-run loop")
  .addHelpText(
    "after",
    `
Examples:
  heddle run http-server
  heddle run http-server --port 9000:80 --config configs/http-server.json
  heddle run http-server --machine q35 --nic e1000 --pcap frames.pcap
  heddle run http-server --disk
  heddle run ./echo --hosted --edit
  sudo ip tuntap add tap0 mode tap user $USER && sudo ip addr add 10.0.1.1/24 dev tap0 && sudo ip link set tap0 up
  heddle run http-server --tap tap0 --config static.json`,
  )
  .action(runCommand);

program
  .command("check")
  .summary("check a configuration")
  .description(
    "Finds everything that is wrong with a configuration, as the image itself would: each mistake with file, line, " +
      "column, JSON pointer and what is allowed. What only a machine knows, its network cards, is not checked.",
  )
  .argument("<FILE|DIR>", "JSON, a ustar archive, or a folder with config.json and the files that it names")
  .addOption(new Option("--appliance <NAME>", "whose configuration (default: by its section)").choices(appliances()))
  .addHelpText(
    "after",
    `
The exit status is 1 when there is a mistake. Warnings (of the firewall: rules that can never decide) do not count.

Examples:
  heddle check configs/http-server
  heddle check config.json && heddle run http-server --config config.json`,
  )
  .action(checkCommand);

program
  .command("explain")
  .summary("which rule of a firewall decides on a packet")
  .description(
    "Says what a firewall's configuration does with the first packet of a flow: translation, route, the rule that decides. " +
      "The image's own code answers. What DHCP will tell is not known here.",
  )
  .argument("<FILE|DIR>", "the configuration")
  .argument("<PACKET>", 'the packet: "PROTOCOL SOURCE -> DESTINATION in INTERFACE"')
  .addHelpText(
    "after",
    `
Examples:
  heddle explain configs/firewall-office 'tcp 10.0.0.5:1234 -> 198.51.100.4:443 in lan'
  heddle explain configs/firewall-office 'icmp 198.51.100.4 -> 203.0.113.7 type 8 in wan'
  heddle explain configs/firewall-office 'udp [2001:db8:10::5]:5000 -> [2001:db8:99::1]:53 in lan'`,
  )
  .action(explainCommand);

program
  .command("images")
  .summary("build every appliance")
  .description("Builds every appliance once, so that `heddle image` needs no compiler.")
  .action(imagesCommand);

program
  .command("image")
  .summary("make an image of a built appliance and a configuration")
  .description(
    "Makes an image of an appliance that `npm run images` has built, without a compiler: an ELF (PVH) or a disk (BIOS).",
  )
  .addArgument(new Argument("<NAME>", "the appliance").choices(appliances()))
  .requiredOption("-o, --output <FILE>", "FILE.elf, FILE.img, FILE.qcow2, FILE.vmdk or FILE.vdi")
  .option("--config <FILE|DIR>", "configuration to put into it: checked first, packed with the files beside it")
  .addHelpText(
    "after",
    `
Examples:
  npm run images
  heddle image http-server --config configs/http-server -o web1.qcow2`,
  )
  .action(imageCommand);

const config = program
  .command("config")
  .summary("read or replace the configuration inside an image")
  .description("Reads or replaces the configuration inside an image that `heddle image` has made, of any format.");
config
  .command("show")
  .summary("print the configuration inside an image")
  .description("Prints the JSON inside an image; the files packed with it are only named, on stderr.")
  .argument("<IMAGE>", "FILE.elf, FILE.img, FILE.qcow2, FILE.vmdk or FILE.vdi")
  .action(showCommand);
config
  .command("set")
  .summary("replace the configuration inside an image")
  .description("Checks a configuration and puts it into an image, with the files beside it, instead of what is there.")
  .argument("<IMAGE>", "FILE.elf, FILE.img, FILE.qcow2, FILE.vmdk or FILE.vdi")
  .argument("<FILE|DIR>", "JSON, a ustar archive, or a folder with config.json and the files that it names")
  .addHelpText(
    "after",
    `
Examples:
  heddle config show web1.qcow2 > config.json
  heddle config set web1.qcow2 config.json`,
  )
  .action(setCommand);

program
  .command("new")
  .summary("make a new service")
  .description("Makes a folder with a small service (a TCP echo in ten lines) that builds and runs as it is.")
  .argument("<DIR>", "folder to make")
  .addHelpText(
    "after",
    `
Examples:
  heddle new echo
  heddle run echo
  echo hello | curl -m 1 telnet://127.0.0.1:8007`,
  )
  .action(newCommand);

program
  .command("doctor")
  .summary("check what is installed")
  .description("Lists what Heddle uses on this machine, what is missing, and the command that installs it.")
  .addHelpText(
    "after",
    `
The exit status is 1 when something is missing that building or running needs.

Examples:
  heddle doctor
  heddle doctor && heddle run http-server`,
  )
  .action(doctorCommand);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof Problem || error instanceof BuildError || error instanceof ImageError)) throw error;
  process.stderr.write(`${error.message.replace(/^(?!ERROR|heddle: )/, "heddle: ")}\n`);
  process.exitCode = 1;
}
