"""What is done to connections and sessions: held, timed, told apart by driver, and locked."""
