-- case: array
SELECT id, array(n, 2, 3) AS v0,
  array('a', NULL) AS v1,
  array(n) AS v2,
  size(array(1, 2)) AS v3
FROM lists ORDER BY id

-- case: size
SELECT id, size(a) AS v0,
  size(s) AS v1,
  array_size(a) AS v2
FROM lists ORDER BY id

-- case: array_contains
SELECT id, array_contains(a, 5) AS v0,
  array_contains(s, 'x') AS v1,
  array_contains(a, n) AS v2,
  array_contains(s, '') AS v3
FROM lists ORDER BY id

-- case: element_at
SELECT id, element_at(a, 1) AS v0,
  element_at(a, -1) AS v1,
  element_at(s, n) AS v2
FROM lists WHERE size(a) > 1 ORDER BY id

-- case: element_at outside
SELECT element_at(array(1, 2), 3) AS v

-- case: element_at of zero
SELECT element_at(array(1, 2), 0) AS v

-- case: sort_array
SELECT id, sort_array(a) AS v0,
  sort_array(s) AS v1,
  sort_array(a, false) AS v2,
  sort_array(s, true) AS v3
FROM lists ORDER BY id

-- case: extremes of arrays
SELECT id, array_min(a) AS v0,
  array_max(a) AS v1,
  array_min(s) AS v2,
  array_max(s) AS v3
FROM lists ORDER BY id

-- case: array_join
SELECT id, array_join(s, ',') AS v0,
  array_join(s, ',', '?') AS v1
FROM lists ORDER BY id

-- case: array_distinct
SELECT id, array_distinct(a) AS v0,
  array_distinct(s) AS v1
FROM lists ORDER BY id

-- case: collect
SELECT g, sort_array(collect_list(i)) AS a, sort_array(collect_set(i)) AS b, size(collect_set(h)) AS c, size(collect_list(d)) AS d, array_max(collect_list(l)) AS e, array_min(collect_set(l)) AS f, sort_array(array_agg(i)) AS h FROM small GROUP BY g ORDER BY g

-- case: collect nothing
SELECT sort_array(collect_list(i)) AS a, size(collect_set(i)) AS b FROM small WHERE id > 100

-- case: collect without order
-- local: refused
SELECT g, collect_list(i) AS v FROM small GROUP BY g

-- case: explode
-- local: refused
SELECT explode(a) AS v FROM lists
