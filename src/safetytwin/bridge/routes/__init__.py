"""The routes of the bridge: one table, made of the tables beside this file."""

from safetytwin.bridge.routes import about, session

ENDPOINTS = (*session.ENDPOINTS, *about.ENDPOINTS)
