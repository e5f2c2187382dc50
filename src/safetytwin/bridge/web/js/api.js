// Requests to the bridge; each answer also tells how far its clock is from this browser's.

/** A request that failed: status 0 where the bridge did not answer; the message is for people. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let skew = 0; // seconds that the bridge's clock is ahead of this one

/** The bridge's clock, in seconds since 1970. */
export const now = () => Date.now() / 1000 + skew;

function compareClocks(response) {
  const told = Date.parse(response.headers.get("date") ?? "");
  if (Number.isNaN(told)) return;
  const difference = (told - Date.now()) / 1000;
  // The header counts whole seconds, and an answer takes a while.
  skew = Math.abs(difference) < 3 ? 0 : difference;
}

async function request(method, path, { query = {}, body, signal } = {}) {
  const address = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") address.searchParams.set(name, String(value));
  }
  let response;
  try {
    response = await fetch(address, {
      method,
      signal,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The bridge does not answer.");
  }
  compareClocks(response);
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new ApiError(response.status, problem.detail ?? problem.title ?? `The bridge answered ${response.status}.`);
}

export async function get(path, query, signal) {
  return (await request("GET", path, { query, signal })).json();
}

/** Ask for something to be done; the answer says what became of it. */
export async function send(method, path, body) {
  return (await request(method, path, { body })).json();
}

/** A state of a machine: {state, revision, at}. */
export async function getState(hostId, at, signal) {
  const response = await request("GET", hostPath(hostId), { query: { at }, signal });
  const shownAt = Date.parse(response.headers.get("safetytwin-at") ?? "");
  return { state: await response.json(), at: Number.isNaN(shownAt) ? null : shownAt / 1000 };
}

export const signIn = (token) => request("POST", "/api/v1/session", { body: { token } });
export const hostPath = (hostId, rest = "") => `/api/v1/hosts/${encodeURIComponent(hostId)}${rest}`;
