// Finds the machine's network cards and brings them up.
// clang: -Oz

import { Errno } from "../errors";
import { log, LogLevel } from "../log";
import { devCount, DeviceKind, devKind, devOpen } from "../platform";
import { coreCount, coreNumber } from "../cores/cores";
import { Card } from "./card";
import { E1000 } from "./e1000";
import { publishCards, sharedCards } from "./published-cards";
import { VirtioNet } from "./virtio-net";

/** Device numbers of the machine's network cards, in the order in which the VMM was given them. */
export function findCards(): i32[] {
  const found: i32[] = [];
  for (let device = 0, count = devCount(); device < count; device++) {
    const kind = devKind(device);
    if (kind == DeviceKind.VIRTIO_NET || kind == DeviceKind.E1000) found.push(device);
  }
  return found;
}

/**
 * The machine's network cards, brought up, in their order; one that does not work is left out, loudly. On other cores than
 * core 0: those that it has opened.
 */
export function openCards(): Array<Card> {
  if (coreNumber() != 0) return sharedCards();
  const cards = new Array<Card>();
  const devices = findCards();
  for (let i = 0; i < devices.length; i++) {
    const card = openCard(devices[i]);
    if (card != null) cards.push(card);
    else log(LogLevel.ERROR, "network card " + i.toString() + " cannot be opened: error " + openError.toString());
  }
  if (devices.length == 0) log(LogLevel.WARN, "no network card found");
  if (coreCount() > 1) publishCards(cards);
  return cards;
}

/** Why the last `openCard` gave null: an error code. */
export let openError: i32 = 0;

/** Opens a card; null when it does not work (`openError`). */
export function openCard(device: i32): Card | null {
  const transport = devOpen(device);
  if (transport < 0) {
    openError = transport;
    return null;
  }
  if (devKind(device) == DeviceKind.E1000) {
    const card = new E1000(device);
    openError = card.open();
    return openError == 0 ? card : null;
  }
  if (devKind(device) == DeviceKind.VIRTIO_NET) {
    const card = new VirtioNet(device, transport);
    openError = card.open();
    return openError == 0 ? card : null;
  }
  openError = Errno.ENODEV;
  return null;
}
