package agd;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The little of JSON that the line protocol needs: objects, arrays, strings, numbers, true, false, null. */
final class Json {
    private final String text;
    private int place;

    private Json(String text) {
        this.text = text;
    }

    static Object read(String text) {
        return new Json(text).value();
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> object(Object value) {
        return (Map<String, Object>) value;
    }

    @SuppressWarnings("unchecked")
    static List<Object> array(Object value) {
        return (List<Object>) value;
    }

    private Object value() {
        space();
        char first = text.charAt(place);
        if (first == '{') {
            Map<String, Object> found = new LinkedHashMap<>();
            for (place++; !at('}'); at(',')) {
                space();
                String key = string();
                at(':');
                found.put(key, value());
            }
            return found;
        }
        if (first == '[') {
            List<Object> found = new ArrayList<>();
            for (place++; !at(']'); at(',')) {
                found.add(value());
            }
            return found;
        }
        if (first == '"') {
            return string();
        }
        int start = place;
        while (place < text.length() && ",]} \t\r\n".indexOf(text.charAt(place)) < 0) {
            place++;
        }
        String word = text.substring(start, place);
        return switch (word) {
            case "null" -> null;
            case "true" -> true;
            case "false" -> false;
            default -> Double.valueOf(word);
        };
    }

    private boolean at(char letter) {
        space();
        if (text.charAt(place) != letter) {
            return false;
        }
        place++;
        return true;
    }

    private void space() {
        while (text.charAt(place) <= ' ') {
            place++;
        }
    }

    private String string() {
        StringBuilder found = new StringBuilder();
        for (place++; text.charAt(place) != '"'; place++) {
            char letter = text.charAt(place);
            if (letter != '\\') {
                found.append(letter);
                continue;
            }
            letter = text.charAt(++place);
            switch (letter) {
                case 'n' -> found.append('\n');
                case 't' -> found.append('\t');
                case 'r' -> found.append('\r');
                case 'b' -> found.append('\b');
                case 'f' -> found.append('\f');
                case 'u' -> {
                    found.append((char) Integer.parseInt(text.substring(place + 1, place + 5), 16));
                    place += 4;
                }
                default -> found.append(letter);
            }
        }
        place++;
        return found.toString();
    }

    static String quoted(String text) {
        if (text == null) {
            return "null";
        }
        StringBuilder found = new StringBuilder("\"");
        for (char letter : text.toCharArray()) {
            if (letter == '"' || letter == '\\') {
                found.append('\\').append(letter);
            } else if (letter < ' ' || letter > '~') {
                found.append(String.format("\\u%04x", (int) letter));
            } else {
                found.append(letter);
            }
        }
        return found.append('"').toString();
    }
}
