package agd;

import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;

/** Values of tests, compared and shown: arrays and lists by what is in them. */
public final class Checks {
    private Checks() {}

    public static boolean alike(Object a, Object b) {
        if (a == b) {
            return true;
        }
        if (a == null || b == null) {
            return false;
        }
        if (a.getClass().isArray() && b.getClass().isArray()) {
            return Arrays.deepEquals(new Object[] {a}, new Object[] {b});
        }
        if (a instanceof List<?> left && b instanceof List<?> right) {
            if (left.size() != right.size()) {
                return false;
            }
            Iterator<?> others = right.iterator();
            for (Object item : left) {
                if (!alike(item, others.next())) {
                    return false;
                }
            }
            return true;
        }
        if (a instanceof Number && b instanceof Number && a.getClass() != b.getClass()) {
            boolean whole = !(a instanceof Double || a instanceof Float || b instanceof Double || b instanceof Float);
            boolean plain = a.getClass().getName().startsWith("java.lang.") && b.getClass().getName().startsWith("java.lang.");
            return whole && plain && ((Number) a).longValue() == ((Number) b).longValue();
        }
        return Objects.equals(a, b);
    }

    public static String shown(Object value) {
        String text = value instanceof String ? '"' + (String) value + '"' : Arrays.deepToString(new Object[] {value});
        if (!(value instanceof String)) {
            text = text.substring(1, text.length() - 1);
        }
        return text.length() > 200 ? text.substring(0, 197) + "..." : text;
    }
}
