// Moments as people type them, in the browser's time zone.

const UNITS = { s: 1, sec: 1, second: 1, m: 60, min: 60, minute: 60, h: 3600, hour: 3600, d: 86400, day: 86400, w: 604800, week: 604800 };
const WEEKDAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

export const ACCEPTED = "14:00, yesterday 14:00, monday 9:30, 24 nov 02:13, 2 hours ago, -30m, 2026-01-31 14:00, now";

/** Return seconds since 1970, "live" for now, or null where the text is no moment; now is in seconds. */
export function parseMoment(text, now) {
  const words = text.trim().toLowerCase();
  if (words === "now" || words === "live") return "live";
  return relative(words, now) ?? absolute(words) ?? ofDay(words, now);
}

function relative(words, now) {
  const match = /^(?:-\s*)?(\d+(?:\.\d+)?)\s*([a-z]+?)s?(\s+ago)?$/.exec(words) ?? /^(an?)\s+([a-z]+?)s?(\s+ago)$/.exec(words);
  if (match === null || !(words.startsWith("-") || match[3])) return null;
  const unit = UNITS[match[2]] ?? UNITS[`${match[2]}s`];
  if (unit === undefined) return null;
  return now - (Number.isNaN(Number(match[1])) ? 1 : Number(match[1])) * unit;
}

function absolute(words) {
  if (/^\d{9,11}(\.\d+)?$/.test(words)) return Number(words);
  if (/^\d{4}-\d\d-\d\d[t ]\d\d:\d\d(:\d\d(\.\d+)?)?(z|[+-]\d\d:\d\d)$/.test(words)) {
    const milliseconds = Date.parse(words.replace(" ", "T").toUpperCase());
    return Number.isNaN(milliseconds) ? null : milliseconds / 1000;
  }
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:[t ](.+))?$/.exec(words);
  return match === null ? null : local(Number(match[1]), Number(match[2]) - 1, Number(match[3]), match[4]);
}

function ofDay(words, now) {
  const today = new Date(now * 1000);
  const on = (days, time) => local(today.getFullYear(), today.getMonth(), today.getDate() - days, time, false);
  if (/^\d{1,2}:\d\d/.test(words)) {
    const at = on(0, words);
    return at !== null && at > now ? on(1, words) : at;
  }
  const match = /^([a-z]+)(?:\s+(?:at\s+)?(.+))?$/.exec(words);
  if (match !== null) {
    if (match[1] === "today") return on(0, match[2]);
    if (match[1] === "yesterday") return on(1, match[2]);
    const weekday = match[1].length < 3 ? -1 : WEEKDAYS.findIndex((name) => name.startsWith(match[1]));
    const at = weekday < 0 ? null : on((today.getDay() - weekday + 7) % 7 || 7, match[2]);
    if (at !== null) return at; // else a weekday before a date
  }
  const dated = /^(?:[a-z]{3,9}\s+)?(\d{1,2})\s+([a-z]{3})[a-z]*(?:\s+(\d{4}))?(?:\s+(.+))?$/.exec(words);
  const month = dated === null ? -1 : MONTHS.indexOf(dated[2]);
  if (month < 0) return null;
  const year = dated[3] === undefined ? today.getFullYear() : Number(dated[3]);
  const at = local(year, month, Number(dated[1]), dated[4]);
  return at !== null && at > now && dated[3] === undefined ? local(year - 1, month, Number(dated[1]), dated[4]) : at;
}

function local(year, month, day, time, strict = true) {
  const match = time === undefined ? [null, "0", "0", "0"] : /^(\d{1,2}):(\d\d)(?::(\d\d))?$/.exec(time.trim());
  if (match === null) return null;
  const [hours, minutes, seconds] = [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
  if (hours > 23 || minutes > 59 || seconds > 59) return null;
  const date = new Date(year, month, day, hours, minutes, seconds);
  // 31 February would become 3 March.
  return strict && (date.getMonth() !== month || date.getDate() !== day) ? null : date.getTime() / 1000;
}
