// The bridge asks for a token: a person's, which is then kept in a cookie that scripts can't read.

import { ApiError, signIn } from "../api.js";
import { h } from "../dom.js";

export function loginView(app) {
  const part = app.part("login", () => ({ problem: "", busy: false }));
  const submit = async (event) => {
    event.preventDefault();
    const token = event.target.querySelector("input").value.trim();
    part.busy = true;
    app.draw();
    try {
      await signIn(token);
      part.problem = "";
      app.signedIn();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      part.problem = error.message;
    } finally {
      part.busy = false;
      app.draw();
    }
  };
  return h(
    "main",
    { id: "main", class: "login" },
    h("h1", {}, "SafetyTwin"),
    h("p", {}, "This bridge asks for a token. Make one on its machine:"),
    h("pre", {}, "safetytwin bridge token create --person"),
    h(
      "form",
      { onsubmit: submit },
      h("label", { for: "token" }, "Token"),
      h("input", { id: "token", type: "password", name: "token", required: true, autocomplete: "current-password", "aria-describedby": "token-problem" }),
      h("button", { type: "submit", disabled: part.busy }, "sign in"),
    ),
    h("p", { id: "token-problem", class: "bad", role: "alert" }, part.problem),
  );
}
