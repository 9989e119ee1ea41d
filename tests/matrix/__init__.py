"""What each player does at this server: runs of the lab, and the page ``docs/players.md`` made from them."""
