import java.nio.charset.StandardCharsets;
import java.time.LocalDate;
import java.util.Base64;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import trivium.v1.ValueOuterClass.KeyValue;

/** Keys of messages: those of rows, docs/row-format.md. All writers of a topic have the same. */
final class Keys {
  private Keys() {}

  /** The key of an entity of a view in this namespace. */
  static byte[] of(String namespace, Map<String, KeyValue> entity) {
    SortedMap<String, KeyValue> sorted = new TreeMap<>(entity);
    StringBuilder key = new StringBuilder(namespace).append('#');
    key.append(String.join("+", sorted.keySet())).append('#');
    String between = "";
    for (KeyValue value : sorted.values()) {
      key.append(between).append(part(value));
      between = "|";
    }
    byte[] bytes = key.toString().getBytes(StandardCharsets.UTF_8);
    if (bytes.length > 2048) {
      throw new IllegalArgumentException("the key has " + bytes.length + " bytes, and may have 2048");
    }
    return bytes;
  }

  private static String part(KeyValue value) {
    switch (value.getKindCase()) {
      case STRING:
        return "s:" + escaped(value.getString());
      case INT64:
        return "i:" + value.getInt64();
      case BOOL:
        return value.getBool() ? "b:1" : "b:0";
      case BYTES:
        byte[] raw = value.getBytes().toByteArray();
        return "x:" + Base64.getUrlEncoder().withoutPadding().encodeToString(raw);
      case DATE:
        return "d:" + LocalDate.ofEpochDay(value.getDate());
      case TIMESTAMP_MICROS:
        return "t:" + value.getTimestampMicros();
      default:
        throw new IllegalArgumentException("a join key without a value");
    }
  }

  private static String escaped(String text) {
    StringBuilder plain = new StringBuilder();
    for (char each : text.toCharArray()) {
      if (each < ' ' || each == 0x7f || each == '%' || each == '#' || each == '|') {
        plain.append(String.format("%%%02X", (int) each));
      } else {
        plain.append(each);
      }
    }
    return plain.toString();
  }
}
