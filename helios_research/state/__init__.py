"""What is true of each row of a cohort, and what comes next. Pure, but for reading the ledger."""
