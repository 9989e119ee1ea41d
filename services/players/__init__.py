"""Other people's players, steered by lines: runs in the image ``flumelab/players``, where nothing of flume is.

:mod:`players.contract` has the commands and events, :mod:`players.readings` what the players say; both are pure. One
module starts and steers each player, and :mod:`players.driver` is the program.
"""
