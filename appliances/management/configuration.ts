// GET and PUT /config, POST /config/confirm.
//
//   PUT /config, If-Match: "TAG"           the whole configuration; on trial for 60 s
//   PUT /config?confirm=2m, ...            for 2 minutes
//   POST /config/confirm                   on a connection that was opened after the change
// clang: -Oz

import { JsonWriter, log, LogLevel, parseDuration } from "../../runtime";
import { Request, Response } from "../../net/http";
import { Version } from "./control";
import { theManagement } from "./server";

const CONFIRM_NS: i64 = 60_000_000_000;
const CONFIRM_MIN_NS: i64 = 1_000_000_000;
const CONFIRM_MAX_NS: i64 = 3600_000_000_000;
/** Until the answer has left: what it is sent over may be gone after the change. */
const DELAY_MS: i64 = 100;
const MAX_BYTES: i32 = 1 << 20;

export function answerConfiguration(request: Request, response: Response): void {
  const current = theManagement().control.current;
  response.set("ETag", '"' + current.tag + '"');
  response.set("Content-Type", "application/json");
  response.send(changetype<usize>(current.text), current.text.length);
}

function refuse(response: Response, status: i32, error: string, problems: Array<string> | null = null): void {
  response.status = status;
  const json = new JsonWriter().object().key("error").string(error);
  if (problems != null) {
    json.key("problems").array();
    for (let i = 0; i < problems.length; i++) json.string(problems[i]);
    json.end();
  }
  response.text(json.end().toString() + "\n", "application/json");
}

export function answerPut(request: Request, response: Response): void {
  const control = theManagement().control;
  const match = request.header("if-match");
  if (match == null) return refuse(response, 428, "If-Match is needed: the ETag of GET /config");
  if (match != '"' + control.current.tag + '"')
    return refuse(response, 412, "the configuration has changed since: its ETag is another");
  if (control.onTrial) return refuse(response, 409, "another configuration is on trial: confirm it, or wait");
  let patience_ns = CONFIRM_NS;
  if (request.query.length > 0) {
    const text = request.query.startsWith("confirm=") ? request.query.substring(8) : "";
    patience_ns = parseDuration(text);
    if (patience_ns < CONFIRM_MIN_NS || patience_ns > CONFIRM_MAX_NS)
      return refuse(response, 400, 'the query can be "confirm=DURATION", from "1s" to "1h"');
  }
  const version = readBody(request);
  if (version == null) return refuse(response, 413, "a configuration has at most 1 MiB");
  // Between the body's pieces others ran.
  if (control.onTrial || match != '"' + control.current.tag + '"')
    return refuse(response, 412, "the configuration has changed since: its ETag is another");
  const next = control.appliance.read(version.configuration);
  if (!version.configuration.valid)
    return refuse(response, 422, "the configuration has mistakes: nothing of it is in effect", linesOf(version));
  const obstacle = control.obstacle(next);
  if (obstacle.length > 0) return refuse(response, 409, "needs a reboot, by a new bundle: " + obstacle);
  if (!control.begin(version, patience_ns, DELAY_MS)) return refuse(response, 503, "no memory to try it");
  log(LogLevel.INFO, "configuration " + version.tag + " was sent");
  response.set("ETag", '"' + version.tag + '"');
  const json = new JsonWriter()
    .object()
    .key("applied")
    .boolean(true)
    .key("confirmWithin_ms")
    .integer(patience_ns / 1_000_000);
  json
    .key("persisted")
    .boolean(false)
    .key("reason")
    .string("this image does not write to disks: a reboot brings the bundle's");
  response.text(json.end().toString() + "\n", "application/json");
}

function linesOf(version: Version): Array<string> {
  return version.configuration.lines();
}

function readBody(request: Request): Version | null {
  const piece = new StaticArray<u8>(4096);
  const at = changetype<usize>(piece);
  let room = new StaticArray<u8>(16384);
  let length = 0;
  for (let got = request.read(at, 4096); got != 0; got = request.read(at, 4096)) {
    if (got < 0 || length + got > MAX_BYTES) return null;
    if (length + got > room.length) {
      const larger = new StaticArray<u8>(2 * room.length);
      memory.copy(changetype<usize>(larger), changetype<usize>(room), length);
      room = larger;
    }
    memory.copy(changetype<usize>(room) + length, at, got);
    length += got;
  }
  return Version.copy(changetype<usize>(room), length);
}

export function answerConfirm(request: Request, response: Response): void {
  const control = theManagement().control;
  if (!control.onTrial) return refuse(response, 409, "no configuration is on trial");
  if (!control.confirm(request.opened_ns))
    return refuse(response, 409, "confirm it on a connection that is opened after the change");
  const json = new JsonWriter().object().key("confirmed").boolean(true).key("persisted").boolean(false);
  response.text(json.end().toString() + "\n", "application/json");
}
