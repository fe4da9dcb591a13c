package agd;

import java.io.FileOutputStream;
import java.io.PrintStream;
import java.lang.annotation.Annotation;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Runs the annotated test methods of one class where JUnit's own launcher is not there. Annotations are known by their
 * simple names. Results go to a file, one JSON object a line.
 */
public final class Tests {
    private Tests() {}

    private static PrintStream tale;

    public static void main(String[] arguments) throws Exception {
        tale = new PrintStream(new FileOutputStream(arguments[0], true), true, "UTF-8");
        int code = 0;
        try {
            code = run(Class.forName(arguments[1]));
        } catch (Throwable error) {
            tale.println("{\"broken\": " + text(root(error).toString()) + ", \"line\": null}");
            code = 2;
        }
        tale.println("{\"done\": " + code + "}");
        System.exit(code);
    }

    private static int run(Class<?> tests) throws Exception {
        int bad = 0;
        each(tests, "BeforeAll", null);
        for (Method method : methods(tests)) {
            if (!has(method, "Test")) {
                if (has(method, "ParameterizedTest") || has(method, "RepeatedTest") || has(method, "TestFactory")) {
                    end(method, "skipped", 0, "it needs JUnit's own launcher", -1);
                }
                continue;
            }
            if (has(method, "Disabled")) {
                end(method, "skipped", 0, "disabled", -1);
                continue;
            }
            tale.println("{\"begin\": " + text(method.getName()) + ", \"line\": null}");
            long began = System.nanoTime();
            Throwable error = one(tests, method);
            double seconds = (System.nanoTime() - began) / 1e9;
            boolean asserted = error instanceof AssertionError;
            end(method, error == null ? "passed" : asserted ? "failed" : "error", seconds,
                    error == null ? "" : error.toString(), line(error, tests));
            bad += error == null ? 0 : 1;
        }
        each(tests, "AfterAll", null);
        return bad == 0 ? 0 : 1;
    }

    private static Throwable one(Class<?> tests, Method method) {
        try {
            var constructor = tests.getDeclaredConstructor();
            constructor.setAccessible(true);
            Object instance = constructor.newInstance();
            try {
                each(tests, "BeforeEach", instance);
                method.setAccessible(true);
                method.invoke(instance);
            } finally {
                each(tests, "AfterEach", instance);
            }
            return null;
        } catch (Throwable error) {
            return root(error);
        }
    }

    private static void each(Class<?> tests, String annotation, Object instance) throws Exception {
        for (Method method : methods(tests)) {
            if (has(method, annotation)) {
                method.setAccessible(true);
                method.invoke(instance);
            }
        }
    }

    private static List<Method> methods(Class<?> tests) {
        List<Method> found = new ArrayList<>(List.of(tests.getDeclaredMethods()));
        found.sort(Comparator.comparing(Method::getName));
        return found;
    }

    private static boolean has(Method method, String name) {
        for (Annotation annotation : method.getAnnotations()) {
            if (annotation.annotationType().getSimpleName().equals(name)) {
                return true;
            }
        }
        return false;
    }

    private static Throwable root(Throwable error) {
        return error instanceof InvocationTargetException && error.getCause() != null ? root(error.getCause()) : error;
    }

    private static int line(Throwable error, Class<?> tests) {
        if (error != null) {
            for (StackTraceElement place : error.getStackTrace()) {
                if (place.getClassName().equals(tests.getName())) {
                    return place.getLineNumber();
                }
            }
        }
        return -1;
    }

    private static void end(Method method, String status, double seconds, String message, int line) {
        tale.println("{\"case\": " + text(method.getName()) + ", \"status\": \"" + status + "\", \"seconds\": "
                + String.format(java.util.Locale.ROOT, "%.6f", seconds) + ", \"message\": " + text(message)
                + ", \"line\": " + (line < 0 ? "null" : line) + ", \"markers\": []}");
    }

    private static String text(String value) {
        StringBuilder made = new StringBuilder("\"");
        for (char letter : value.toCharArray()) {
            if (letter == '"' || letter == '\\') {
                made.append('\\').append(letter);
            } else if (letter < 32 || letter > 126) {
                made.append(String.format("\\u%04x", (int) letter));
            } else {
                made.append(letter);
            }
        }
        return made.append('"').toString();
    }
}
