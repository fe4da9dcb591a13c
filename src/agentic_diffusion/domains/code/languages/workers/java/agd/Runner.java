package agd;

import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TimeZone;

/**
 * Runs compiled candidates, each in a class loader of its own and each case in a thread of its own. Orders arrive on
 * standard input, reports go to standard output, every line of them begun with the word that came with the order.
 * Whoever misbehaves takes this process along; the server starts another.
 */
public final class Runner {
    static final String CANDIDATE = "AgdCandidate.java";
    static final String SUITE = "AgdSuite.java";
    static final String READY = "ready";
    private static final long STACK = 16L << 20;

    private Runner() {}

    /** More was written than is allowed. */
    private static final class TooMuch extends Error {
        TooMuch() {
            super("too much was written", null, false, false);
        }
    }

    private static final class Counting extends OutputStream {
        private long left;
        private volatile boolean over;

        Counting(long limit) {
            left = limit;
        }

        @Override
        public void write(int value) {
            write(null, 0, 1);
        }

        @Override
        public void write(byte[] data, int start, int count) {
            left -= count;
            if (left < 0) {
                over = true;
                throw new TooMuch();
            }
        }
    }

    private static final class Loader extends ClassLoader {
        private final Map<String, byte[]> classes;

        Loader(Map<String, byte[]> classes) {
            super(Runner.class.getClassLoader());
            this.classes = classes;
            setDefaultAssertionStatus(true);
        }

        @Override
        protected Class<?> findClass(String name) throws ClassNotFoundException {
            byte[] data = classes.remove(name);
            if (data == null) {
                throw new ClassNotFoundException(name);
            }
            return defineClass(name, data, 0, data.length);
        }
    }

    public static void main(String[] arguments) throws Exception {
        DataInputStream in = new DataInputStream(System.in);
        PrintStream reports = System.out;
        System.setIn(OutputStreamLess.EMPTY);
        Properties properties = (Properties) System.getProperties().clone();
        Locale locale = Locale.getDefault();
        reports.println(READY);
        reports.flush();
        while (true) {
            int count = in.readInt();
            Map<String, byte[]> classes = new HashMap<>();
            for (int number = 0; number < count; number++) {
                String name = in.readUTF();
                byte[] data = new byte[in.readInt()];
                in.readFully(data);
                classes.put(name, data);
            }
            String suite = in.readUTF();
            int first = in.readInt();
            int cases = in.readInt();
            long output = in.readLong();
            String word = in.readUTF();
            Set<Thread> before = new HashSet<>(Thread.getAllStackTraces().keySet());
            boolean clean = run(new Loader(classes), suite, first, cases, output, word, reports);
            System.setProperties((Properties) properties.clone());
            Locale.setDefault(locale);
            TimeZone.setDefault(null);
            reports.println(word + (clean && quiet(before) ? " all" : " dirty"));
            reports.flush();
        }
    }

    private static boolean run(
            Loader loader, String suite, int first, int cases, long output, String word, PrintStream reports)
            throws Exception {
        Counting counting = new Counting(output);
        PrintStream swallowed = new PrintStream(counting, false);
        System.setOut(swallowed);
        System.setErr(swallowed);
        for (int number = first; number < cases; number++) {
            reports.println(word + " begin " + number);
            reports.flush();
            Lines.reset();
            long began = System.nanoTime();
            Throwable[] thrown = new Throwable[1];
            String name = "agd" + number;
            Thread thread = new Thread(new ThreadGroup("case"), () -> {
                try {
                    Class<?> tests = Class.forName(suite, true, loader);
                    java.lang.reflect.Method method = tests.getDeclaredMethod(name);
                    method.setAccessible(true);
                    method.invoke(null);
                } catch (java.lang.reflect.InvocationTargetException error) {
                    thrown[0] = error.getCause();
                } catch (Throwable error) {
                    thrown[0] = error;
                }
            }, "case", STACK);
            thread.setDaemon(true);
            thread.start();
            thread.join();
            String seconds = String.format(Locale.ROOT, "%.6f", (System.nanoTime() - began) / 1e9);
            Throwable error = thrown[0];
            String status = counting.over ? "output" : status(error);
            reports.println(word + " end " + number + " " + status + " " + line(error) + " " + seconds + " "
                    + text(error == null ? "" : root(error).getClass().getSimpleName()) + " " + text(message(error))
                    + " " + Lines.told());
            reports.flush();
            if (status.equals("memory") || status.equals("output")) {
                return false;
            }
        }
        return true;
    }

    private static boolean quiet(Set<Thread> before) throws InterruptedException {
        for (int turn = 0; ; turn++) {
            boolean busy = false;
            for (Thread thread : Thread.getAllStackTraces().keySet()) {
                boolean pool = thread.getName().startsWith("ForkJoinPool.commonPool") && thread.getState() != Thread.State.RUNNABLE;
                boolean system = thread.getThreadGroup() == null || thread.getThreadGroup().getName().equals("InnocuousThreadGroup")
                        || thread.getThreadGroup().getName().equals("system");
                busy |= !before.contains(thread) && !pool && !system;
            }
            if (!busy || turn == 3) {
                return !busy;
            }
            Thread.sleep(2);
        }
    }

    private static Throwable root(Throwable error) {
        return error instanceof ExceptionInInitializerError && error.getCause() != null ? error.getCause() : error;
    }

    private static String status(Throwable error) {
        if (error == null) {
            return "passed";
        }
        Throwable deepest = error;
        for (int turn = 0; deepest != null && turn < 20; turn++, deepest = deepest.getCause()) {
            if (deepest instanceof OutOfMemoryError) {
                return "memory";
            }
        }
        StackTraceElement[] trace = root(error).getStackTrace();
        boolean tests = trace.length > 0 && SUITE.equals(trace[0].getFileName()) && !(error instanceof RuntimeException);
        return error instanceof AssertionError && !candidate(trace) || tests ? "failed" : "error";
    }

    /** Whether the first of our files in a trace is the candidate's. */
    private static boolean candidate(StackTraceElement[] trace) {
        for (StackTraceElement place : trace) {
            if (CANDIDATE.equals(place.getFileName()) || SUITE.equals(place.getFileName())) {
                return CANDIDATE.equals(place.getFileName());
            }
        }
        return false;
    }

    private static int line(Throwable error) {
        if (error != null) {
            for (StackTraceElement place : root(error).getStackTrace()) {
                if (CANDIDATE.equals(place.getFileName())) {
                    return place.getLineNumber();
                }
            }
        }
        return 0;
    }

    private static String message(Throwable error) {
        if (error == null) {
            return "";
        }
        String said;
        try {
            said = root(error).getMessage();
        } catch (Throwable broken) {
            said = "";
        }
        return said == null ? "" : said;
    }

    private static String text(String words) {
        String line = words.strip().replaceAll("\\s+", " ");
        line = line.length() > 500 ? line.substring(0, 500) : line;
        return "=" + Base64.getEncoder().encodeToString(line.getBytes(StandardCharsets.UTF_8));
    }

    private static final class OutputStreamLess extends java.io.InputStream {
        static final java.io.InputStream EMPTY = new OutputStreamLess();

        @Override
        public int read() throws IOException {
            return -1;
        }
    }
}
