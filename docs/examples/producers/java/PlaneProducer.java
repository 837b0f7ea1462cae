import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import trivium.v1.PayloadOuterClass.Payload;
import trivium.v1.PayloadOuterClass.PayloadDelete;
import trivium.v1.PayloadOuterClass.PayloadRow;
import trivium.v1.ValueOuterClass.KeyValue;
import trivium.v1.ValueOuterClass.NullValue;
import trivium.v1.ValueOuterClass.Value;

/**
 * Rows of flights/plane_live@1 from lines: plane, instant, flight, origin, dest, delay or nothing,
 * with tabs between them; a line of the first two alone removes the plane.
 *
 * <p>java PlaneProducer BROKERS TOPIC < lines
 */
final class PlaneProducer {
  private PlaneProducer() {}

  public static void main(String[] args) throws Exception {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    settings.put("key.serializer", ByteArraySerializer.class.getName());
    settings.put("value.serializer", ByteArraySerializer.class.getName());
    // What is sent again after an error stays in its order, and is there once.
    settings.put("acks", "all");
    settings.put("enable.idempotence", "true");
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    InputStreamReader in = new InputStreamReader(System.in, StandardCharsets.UTF_8);
    try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings);
        BufferedReader lines = new BufferedReader(in)) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        Payload payload = payload(line.split("\t", -1));
        byte[] key = Keys.of("flights", payload.getEntityMap());
        sent.add(producer.send(new ProducerRecord<>(args[1], key, payload.toByteArray())));
      }
      producer.flush();
    }
    for (Future<RecordMetadata> each : sent) {
      // Fails where Kafka has not taken it.
      each.get();
    }
  }

  static Payload payload(String[] fields) {
    Payload.Builder payload =
        Payload.newBuilder()
            .setView("flights/plane_live@1")
            .putEntity("tailnum", KeyValue.newBuilder().setString(fields[0]).build())
            .setEventTimeMicros(micros(Instant.parse(fields[1])));
    if (fields.length == 2) {
      return payload.setDelete(PayloadDelete.getDefaultInstance()).build();
    }
    Value.Builder delay = Value.newBuilder();
    if (fields[5].isEmpty()) {
      delay.setNull(NullValue.NULL_VALUE);
    } else {
      delay.setInt64(Long.parseLong(fields[5]));
    }
    PayloadRow row =
        PayloadRow.newBuilder()
            .putValues("in_the_air", Value.newBuilder().setBool(true).build())
            .putValues("flight", text(fields[2]))
            .putValues("origin", text(fields[3]))
            .putValues("dest", text(fields[4]))
            .putValues("delay_minutes", delay.build())
            .build();
    return payload.setPut(row).build();
  }

  private static Value text(String text) {
    return Value.newBuilder().setString(text).build();
  }

  private static long micros(Instant at) {
    return ChronoUnit.MICROS.between(Instant.EPOCH, at);
  }
}
