# Books entries into a SQLite database, a transaction each, and prints the books at the end; goes on where the database is.
set -eu
db() { sqlite3 -bail -cmd ".timeout 60000" books.sqlite "$1"; }

read -r entries pause < "$SPOTPROOF_INPUT"
db "PRAGMA journal_mode=WAL;
    CREATE TABLE IF NOT EXISTS entry(number INTEGER PRIMARY KEY, amount INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS total(one INTEGER PRIMARY KEY CHECK (one = 1), sum INTEGER, chain TEXT);
    INSERT OR IGNORE INTO total VALUES (1, 0, '');" > /dev/null
number=$(db "SELECT count(*) FROM entry;")
echo "starting at entry $number"
while [ "$number" -lt "$entries" ]; do
    number=$((number + 1))
    db "BEGIN IMMEDIATE;
        INSERT INTO entry VALUES ($number, ($number * 7919) % 1009);
        UPDATE total SET sum = sum + ($number * 7919) % 1009, chain = hex(sha3(chain || $number, 256));
        COMMIT;"
    sleep "$pause"
done
[ "$(db "PRAGMA integrity_check;")" = ok ]
db "SELECT number, amount FROM entry ORDER BY number; SELECT sum, chain FROM total;" > "$SPOTPROOF_OUTPUT_DIR/books.txt"
