// How amounts, moments and texts look to people. What is not known is a dash, never a zero.

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
export const UNKNOWN = "–";

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

function threeDigits(amount) {
  if (amount === 0) return "0";
  if (Math.abs(amount) < 9.995) return amount.toFixed(2);
  return Math.abs(amount) < 99.95 ? amount.toFixed(1) : amount.toFixed(0);
}

/** Bytes with a binary unit: 1.50 GiB. */
export function size(value) {
  if (!known(value)) return UNKNOWN;
  let amount = value;
  let power = 0;
  while (Math.abs(amount) >= 999.5 && power < BINARY.length - 1) {
    amount /= 1024;
    power += 1;
  }
  return `${power === 0 ? amount.toFixed(0) : threeDigits(amount)} ${BINARY[power]}`;
}

const rate = (value) => (known(value) ? `${size(value)}/s` : UNKNOWN);

/** MiB as a plain number, for columns whose head says the unit. */
export const mebibytes = (value) => (known(value) ? grouped(value / 1048576, value < 10485760 ? 1 : 0) : UNKNOWN);

/** A percentage without its sign: no decimals, one below ten. */
export function percent(value) {
  if (!known(value)) return UNKNOWN;
  return value > 0 && value < 9.95 ? value.toFixed(1) : value.toFixed(0);
}

export const grouped = (value, digits = 0) =>
  known(value) ? value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }) : UNKNOWN;

/** The number of something: 1 process, 2 processes. */
export const several = (number, one, many = `${one}s`) => `${grouped(number)} ${number === 1 ? one : many}`;

/** Seconds in the two largest units: 3 d 4 h. */
export function duration(seconds) {
  if (!known(seconds)) return UNKNOWN;
  let left = Math.floor(Math.max(0, seconds));
  const parts = [];
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    if (left >= length || (unit === "s" && parts.length === 0)) {
      parts.push(`${Math.floor(left / length)} ${unit}`);
      left %= length;
    } else if (parts.length > 0) break;
  }
  return parts.slice(0, 2).join(" ");
}

/** Parameters of a model: 8.03 B (billions, as the field writes them). */
export function parameters(value) {
  if (!known(value)) return UNKNOWN;
  if (value >= 1e9) return `${threeDigits(value / 1e9)} B`;
  return value >= 1e6 ? `${threeDigits(value / 1e6)} M` : grouped(value);
}

/** How long before `now` a moment was, both in seconds: 3 s ago. */
export function ago(at, now) {
  if (!known(at)) return UNKNOWN;
  const seconds = now - at;
  if (seconds < -1) return `in ${largest(-seconds)}`;
  return seconds < 1 ? "now" : `${largest(seconds)} ago`;
}

function largest(seconds) {
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= length * 1.5 || (seconds >= length && unit !== "d")) return `${Math.floor(seconds / length)} ${unit}`;
  }
  return `${Math.floor(seconds)} s`;
}

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (number) => String(number).padStart(2, "0");

/** The time of day: 02:13:10. */
export function clock(at) {
  const date = new Date(at * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** A day: Tue 24 Nov, with the year where it is not this one. */
export function day(at, now = Date.now() / 1000) {
  const date = new Date(at * 1000);
  const year = date.getFullYear() === new Date(now * 1000).getFullYear() ? "" : ` ${date.getFullYear()}`;
  return `${WEEKDAYS[date.getDay()]} ${date.getDate()} ${MONTHS[date.getMonth()]}${year}`;
}

export const moment = (at) => (known(at) ? `${day(at)} ${clock(at)}` : UNKNOWN);

/** Exactly, for a tooltip. */
export const exact = (at) => (known(at) ? `${moment(at)} (${new Date(at * 1000).toISOString()})` : "");

/** RFC 3339 as seconds since 1970, null where it is none. */
export function seconds(text) {
  const milliseconds = typeof text === "string" ? Date.parse(text) : NaN;
  return Number.isNaN(milliseconds) ? null : milliseconds / 1000;
}

/** A moment of the bridge's as one to ask for: it is written cut to milliseconds, the look may be within the next one. */
export const asked = (text) => {
  const at = seconds(text);
  return at === null ? null : at + 0.001;
};

// Control and bidirectional-override characters would be unseen, or show other text than there is.
// eslint-disable-next-line no-control-regex
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/** A machine's text on one line, with what can't be seen written out: \u001b[31m. */
export function plain(text, longest = 400) {
  const whole = String(text ?? "");
  const cut = whole.length > longest ? `${whole.slice(0, longest)}…` : whole;
  return cut.replace(UNSEEN, (one) => ({ "\n": "\\n", "\t": "\\t", "\r": "\\r" })[one] ?? `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** An argument list as a shell would be given it; a single one with spaces is a title that a process gave itself. */
export const commandLine = (words, longest = 400) =>
  plain(words?.length === 1 ? words[0] : (words ?? []).map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" "), longest);

/** A value of the state by the unit that its field has. */
export function byUnit(value, unit) {
  if (value === null || value === undefined) return UNKNOWN;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return typeof value === "string" ? plain(value, 4000) : plain(JSON.stringify(value), 4000);
  if (unit === "By") return size(value);
  if (unit === "By/s") return rate(value);
  if (unit === "s") return value >= 1 ? duration(value) : `${Number((value * 1000).toPrecision(3))} ms`;
  if (unit === "%") return `${percent(value)} %`;
  if (unit === "Cel") return `${Number(value.toFixed(1))} °C`;
  const number = Number.isInteger(value) ? (unit === "1" ? grouped(value) : String(value)) : String(Number(value.toPrecision(6)));
  return unit === undefined || unit === null || unit === "1" ? number : `${number} ${unit}`;
}
