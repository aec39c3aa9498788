// Configuration: bundles, the document, sections with every mistake reported, values with units.
export { Bundle, BundleFile } from "./ustar";
export { Bundles, openBundles } from "./bundles";
export { Configuration, loadConfiguration, printProblems } from "./configuration";
export { isHostname, MachineConfiguration, readMachine } from "./machine";
export { Section, ConfigSource } from "./section";
export { INVALID, parseCount, parseDuration, parseRate, parseShare, parseSize } from "./values";
export { closest } from "./closest";
