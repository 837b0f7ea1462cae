-- One row a customer, over one day. What a day adds up to is known when it ends: period_end.
SELECT
  customer_id,
  TIMESTAMP '{{ period_end }}' AS event_ts,
  count(*) AS orders,
  sum(amount) AS spent,
  count(CASE WHEN returned THEN 1 END) AS returns
FROM orders
WHERE ordered_at >= TIMESTAMP '{{ period_start }}'
  AND ordered_at < TIMESTAMP '{{ period_end }}'
GROUP BY customer_id
