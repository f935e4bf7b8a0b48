-- Takes note that a standby has taken over, if nobody has yet: the function says what follows.
SELECT jobforge_notice_failover()
