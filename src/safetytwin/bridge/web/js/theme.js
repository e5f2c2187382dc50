// A classic script in the head: the chosen theme holds before anything is painted.
"use strict";
(() => {
  const KEY = "safetytwin.theme";
  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage is switched off: the system's theme holds
    }
  };
  const apply = (theme) => {
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  window.safetytwinTheme = {
    get: () => document.documentElement.dataset.theme ?? "system",
    set(theme) {
      apply(theme);
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // it holds until the page is closed
      }
      window.dispatchEvent(new Event("themechange"));
    },
  };
  apply(stored());
})();
