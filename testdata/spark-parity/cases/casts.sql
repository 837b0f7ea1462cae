-- case: casts of ints
SELECT id, CAST(i AS bigint) AS v0,
  CAST(i AS double) AS v1,
  CAST(i AS float) AS v2,
  CAST(i AS string) AS v3,
  CAST(i AS boolean) AS v4,
  CAST(j AS decimal(5,1)) AS v5,
  CAST(i AS decimal(20,2)) AS v6,
  CAST(i AS timestamp) AS v7,
  CAST(i AS int) AS v8
FROM nums ORDER BY id

-- case: casts of bigints
SELECT id, CAST(l AS double) AS v0,
  CAST(l AS float) AS v1,
  CAST(l AS string) AS v2,
  CAST(l AS boolean) AS v3,
  CAST(l AS decimal(20,0)) AS v4
FROM nums ORDER BY id

-- case: bigint to int
SELECT id, CAST(l AS int) AS v0
FROM nums WHERE id NOT IN (1, 5, 6) ORDER BY id

-- case: bigint to timestamp
SELECT id, CAST(l AS timestamp) AS v0
FROM times ORDER BY id

-- case: casts of doubles
SELECT id, CAST(d AS int) AS v0,
  CAST(d AS bigint) AS v1,
  CAST(d AS float) AS v2,
  CAST(d AS boolean) AS v3,
  CAST(d AS decimal(10,1)) AS v4
FROM nums WHERE id IN (1, 2, 3, 4, 6, 7) ORDER BY id

-- case: casts of floats
SELECT id, CAST(f AS int) AS v0,
  CAST(f AS bigint) AS v1,
  CAST(f AS double) AS v2,
  CAST(f AS boolean) AS v3,
  CAST(f AS decimal(10,2)) AS v4
FROM nums WHERE id <= 7 ORDER BY id

-- case: casts of decimals
SELECT id, CAST(p AS int) AS v0,
  CAST(p AS bigint) AS v1,
  CAST(p AS double) AS v2,
  CAST(p AS float) AS v3,
  CAST(p AS string) AS v4,
  CAST(p AS boolean) AS v5,
  CAST(p AS decimal(12,1)) AS v6,
  CAST(q AS decimal(6,2)) AS v7,
  CAST(q AS string) AS v8
FROM nums ORDER BY id

-- case: casts of booleans
SELECT id, CAST(b AS int) AS v0,
  CAST(b AS bigint) AS v1,
  CAST(b AS double) AS v2,
  CAST(b AS float) AS v3,
  CAST(b AS string) AS v4,
  CAST(b AS decimal(3,1)) AS v5
FROM nums ORDER BY id

-- case: casts of numbers as text
SELECT id, CAST(n AS int) AS v0,
  CAST(n AS bigint) AS v1,
  CAST(n AS decimal(12,2)) AS v2,
  CAST(x AS double) AS v3,
  CAST(x AS float) AS v4,
  CAST(b AS boolean) AS v5,
  CAST(n AS double) AS v6,
  CAST(n AS binary) AS v7
FROM texts ORDER BY id

-- case: casts of dates as text
SELECT id, CAST(d AS date) AS v0,
  CAST(ts AS timestamp) AS v1,
  CAST(d AS timestamp) AS v2,
  CAST(ts AS date) AS v3
FROM texts ORDER BY id

-- case: casts of dates
SELECT id, CAST(dt AS string) AS v0,
  CAST(dt AS timestamp) AS v1,
  date(ts) AS v2,
  CAST(ts AS date) AS v3,
  CAST(ts AS string) AS v4,
  CAST(ts AS bigint) AS v5
FROM times ORDER BY id

-- case: timestamp to int
SELECT id, CAST(ts AS int) AS v0
FROM times ORDER BY id

-- case: casts by function
SELECT id, int(d) AS v0,
  bigint(i) AS v1,
  double(i) AS v2,
  string(i) AS v3,
  boolean(i) AS v4
FROM small ORDER BY id

-- case: timestamp by function
SELECT id, timestamp(ts) AS v0
FROM texts ORDER BY id

-- case: try_cast
SELECT id, try_cast(s AS int) AS v0,
  try_cast(s AS double) AS v1,
  try_cast(s AS date) AS v2,
  try_cast(s AS boolean) AS v3,
  try_cast(s AS timestamp) AS v4,
  try_cast(s AS decimal(5,1)) AS v5,
  try_cast(s AS bigint) AS v6
FROM strings ORDER BY id

-- case: try_cast of numbers
SELECT id, try_cast(l AS int) AS v0,
  try_cast(d AS int) AS v1,
  try_cast(p AS decimal(3,0)) AS v2,
  try_cast(d AS bigint) AS v3
FROM nums ORDER BY id

-- case: cast: bad int
SELECT CAST('x' AS int) AS v

-- case: cast: fraction to int
SELECT CAST('1.5' AS int) AS v

-- case: cast: empty to int
SELECT CAST('' AS int) AS v

-- case: cast: bad date
SELECT CAST('2013-02-30' AS date) AS v

-- case: cast: bad timestamp
SELECT CAST('noon' AS timestamp) AS v

-- case: cast: bad boolean
SELECT CAST('maybe' AS boolean) AS v

-- case: cast: bad double
SELECT CAST('1,5' AS double) AS v

-- case: cast: int too large
SELECT CAST('2147483648' AS int) AS v

-- case: cast: bigint does not fit int
SELECT CAST(l AS int) AS v FROM nums WHERE id = 5

-- case: cast: nan to int
SELECT CAST(d AS int) AS v FROM nums WHERE id = 8

-- case: cast: infinity to bigint
SELECT CAST(d AS bigint) AS v FROM nums WHERE id = 9

-- case: cast: decimal does not fit
SELECT CAST(p AS decimal(4,2)) AS v FROM nums WHERE id = 5

-- case: cast: text does not fit decimal
SELECT CAST('12345.678' AS decimal(4,2)) AS v

-- case: double to string
-- local: refused
SELECT CAST(d AS string) AS v FROM nums

-- case: bytes
SELECT X'6162C3A4' AS a, CAST(X'6162C3A4' AS string) AS b, X'' AS c, CAST(CAST(NULL AS binary) AS string) AS d, X'61' = CAST('a' AS binary) AS e
