"""Where the bridge keeps what machines were."""
