-- Nobody is let in by going back: whoever waits stays shut out.
DROP TABLE waiting_accounts;
