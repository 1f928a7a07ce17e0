"""``report.html``: ``page`` fills ``page.html.jinja`` with answers, tables, figures and facts."""
