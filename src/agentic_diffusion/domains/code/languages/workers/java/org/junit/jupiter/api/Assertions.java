package org.junit.jupiter.api;

import agd.Checks;
import java.util.Iterator;
import java.util.function.Supplier;
import org.junit.jupiter.api.function.Executable;

/** Stands in for JUnit's assertions: the ones that tests of functions use, with values compared by their contents. */
public class Assertions {
    protected Assertions() {}

    private static String told(String message) {
        return message == null ? "" : message + " ==> ";
    }

    public static <V> V fail() {
        throw new AssertionError("the test failed");
    }

    public static <V> V fail(String message) {
        throw new AssertionError(message);
    }

    public static void assertTrue(boolean condition) {
        assertTrue(condition, (String) null);
    }

    public static void assertTrue(boolean condition, String message) {
        if (!condition) {
            throw new AssertionError(told(message) + "expected true, but was false");
        }
    }

    public static void assertTrue(boolean condition, Supplier<String> message) {
        assertTrue(condition, condition ? null : message.get());
    }

    public static void assertFalse(boolean condition) {
        assertFalse(condition, (String) null);
    }

    public static void assertFalse(boolean condition, String message) {
        if (condition) {
            throw new AssertionError(told(message) + "expected false, but was true");
        }
    }

    public static void assertFalse(boolean condition, Supplier<String> message) {
        assertFalse(condition, condition ? message.get() : null);
    }

    public static void assertNull(Object value) {
        assertNull(value, null);
    }

    public static void assertNull(Object value, String message) {
        if (value != null) {
            throw new AssertionError(told(message) + "expected null, but was " + Checks.shown(value));
        }
    }

    public static void assertNotNull(Object value) {
        assertNotNull(value, null);
    }

    public static void assertNotNull(Object value, String message) {
        if (value == null) {
            throw new AssertionError(told(message) + "expected something, but was null");
        }
    }

    public static void assertEquals(Object expected, Object actual) {
        assertEquals(expected, actual, (String) null);
    }

    public static void assertEquals(Object expected, Object actual, String message) {
        if (!Checks.alike(expected, actual)) {
            throw new AssertionError(told(message) + "expected " + Checks.shown(expected) + ", but was " + Checks.shown(actual));
        }
    }

    public static void assertEquals(Object expected, Object actual, Supplier<String> message) {
        assertEquals(expected, actual, Checks.alike(expected, actual) ? null : message.get());
    }

    public static void assertEquals(double expected, double actual, double delta) {
        assertEquals(expected, actual, delta, null);
    }

    public static void assertEquals(double expected, double actual, double delta, String message) {
        if (Double.compare(expected, actual) != 0 && !(Math.abs(expected - actual) <= delta)) {
            throw new AssertionError(told(message) + "expected " + expected + ", but was " + actual);
        }
    }

    public static void assertNotEquals(Object unexpected, Object actual) {
        assertNotEquals(unexpected, actual, null);
    }

    public static void assertNotEquals(Object unexpected, Object actual, String message) {
        if (Checks.alike(unexpected, actual)) {
            throw new AssertionError(told(message) + "expected something else than " + Checks.shown(actual));
        }
    }

    public static void assertArrayEquals(Object expected, Object actual) {
        assertEquals(expected, actual, (String) null);
    }

    public static void assertArrayEquals(Object expected, Object actual, String message) {
        assertEquals(expected, actual, message);
    }

    public static void assertArrayEquals(double[] expected, double[] actual, double delta) {
        assertEquals(expected.length, actual.length, "lengths");
        for (int place = 0; place < expected.length; place++) {
            assertEquals(expected[place], actual[place], delta, "at index " + place);
        }
    }

    public static void assertIterableEquals(Iterable<?> expected, Iterable<?> actual) {
        Iterator<?> left = expected.iterator();
        Iterator<?> right = actual.iterator();
        while (left.hasNext() && right.hasNext()) {
            assertEquals(left.next(), right.next());
        }
        assertTrue(!left.hasNext() && !right.hasNext(), "lengths differ");
    }

    public static void assertSame(Object expected, Object actual) {
        if (expected != actual) {
            throw new AssertionError("expected the same object as " + Checks.shown(expected) + ", but was " + Checks.shown(actual));
        }
    }

    public static void assertNotSame(Object unexpected, Object actual) {
        if (unexpected == actual) {
            throw new AssertionError("expected another object than " + Checks.shown(actual));
        }
    }

    public static <T extends Throwable> T assertThrows(Class<T> kind, Executable code) {
        return assertThrows(kind, code, null);
    }

    public static <T extends Throwable> T assertThrows(Class<T> kind, Executable code, String message) {
        try {
            code.execute();
        } catch (Throwable error) {
            if (kind.isInstance(error)) {
                return kind.cast(error);
            }
            throw new AssertionError(told(message) + "expected " + kind.getSimpleName() + ", but was " + error);
        }
        throw new AssertionError(told(message) + "expected " + kind.getSimpleName() + ", but nothing was thrown");
    }

    public static void assertDoesNotThrow(Executable code) {
        try {
            code.execute();
        } catch (Throwable error) {
            throw new AssertionError("expected no exception, but was " + error);
        }
    }

    public static void assertAll(Executable... parts) {
        for (Executable part : parts) {
            try {
                part.execute();
            } catch (RuntimeException | Error error) {
                throw error;
            } catch (Throwable error) {
                throw new AssertionError(String.valueOf(error));
            }
        }
    }
}
