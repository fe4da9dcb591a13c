package agd;

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.FileObject;
import javax.tools.ForwardingJavaFileManager;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileManager;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/**
 * The worker for Java: compiles the candidates of a batch in memory, all at once, and has them run by a process beside
 * it. Speaks the line protocol of languages/harness.py on standard input and output. No candidate's code runs in here.
 * Lines count from 1, times are seconds.
 */
public final class Server {
    private static final int PATIENCE = 3;
    private static final double STARVED = 0.01;
    private static final long START_SECONDS = 25;
    private static final double TICK = 100.0;
    private static final String NOT_RUN = "not run, since a case before it did not end";
    private static final String UNPREPARED = "what comes before the cases did not end in time";
    private static final Pattern TYPES = Pattern.compile("\\A\uFEFF?/\\*agd ([^*]*)\\*/");

    private final PrintStream replies;
    private final List<String> runnerCommand;
    private final JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    private final StandardJavaFileManager files =
            compiler.getStandardFileManager(null, Locale.ENGLISH, StandardCharsets.UTF_8);
    private final SecureRandom random = new SecureRandom();
    private Map<String, Object> order;
    private Map<String, Object> suite;
    private int cases;
    private Child child;

    private Server(PrintStream replies, List<String> runnerCommand) {
        this.replies = replies;
        this.runnerCommand = runnerCommand;
    }

    /** The arguments are the command of the runner, but for its memory. */
    public static void main(String[] arguments) throws Exception {
        PrintStream replies = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        System.setOut(System.err);
        Server server = new Server(replies, List.of(arguments));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Map<String, Object> request = Json.object(Json.read(line));
            if (request.containsKey("open")) {
                server.open(Json.object(request.get("open")));
            } else {
                server.judge(request);
            }
        }
        server.stop();
    }

    private void say(String line) {
        replies.print(line + "\n");
        replies.flush();
    }

    private void open(Map<String, Object> opened) {
        order = opened;
        suite = Json.object(Json.read((String) opened.get("suite")));
        cases = Json.array(opened.get("cases")).size();
        say("{\"ready\": true}");
    }

    private record Source(int id, boolean own, JavaFileObject file) {}

    private static final class Text extends SimpleJavaFileObject {
        private final String content;
        private final String shown;

        Text(String folder, String name, String content) {
            super(URI.create("string:///" + folder + "/" + name), Kind.SOURCE);
            this.content = content;
            this.shown = name;
        }

        @Override
        public CharSequence getCharContent(boolean ignoreErrors) {
            return content;
        }

        @Override
        public boolean isNameCompatible(String name, Kind kind) {
            return true; // a public class may have any name
        }

        @Override
        public String getName() {
            return shown;
        }
    }

    private static final class Compiled extends SimpleJavaFileObject {
        final ByteArrayOutputStream data = new ByteArrayOutputStream();

        Compiled(String name) {
            super(URI.create("memory:///" + name.replace('.', '/') + ".class"), Kind.CLASS);
        }

        @Override
        public OutputStream openOutputStream() {
            return data;
        }
    }

    private static final class Memory extends ForwardingJavaFileManager<JavaFileManager> {
        final Map<String, Compiled> classes = new HashMap<>();

        Memory(JavaFileManager files) {
            super(files);
        }

        @Override
        public JavaFileObject getJavaFileForOutput(Location place, String name, JavaFileObject.Kind kind, FileObject from) {
            Compiled made = new Compiled(name);
            classes.put(name, made);
            return made;
        }

        @Override
        public void close() {}
    }

    private void judge(Map<String, Object> request) throws Exception {
        Map<Integer, String> candidates = new LinkedHashMap<>();
        for (Object item : Json.array(request.get("judge"))) {
            Map<String, Object> candidate = Json.object(item);
            candidates.put(((Number) candidate.get("id")).intValue(), (String) candidate.get("source"));
        }
        String nonce = Json.quoted((String) request.get("nonce"));
        Map<Integer, String> left = new LinkedHashMap<>(candidates);
        Map<Integer, String> reported = new LinkedHashMap<>();
        Memory memory = null;
        while (!left.isEmpty()) {
            memory = new Memory(files);
            Map<Integer, String> problems = compile(left, memory);
            if (problems.isEmpty()) {
                break;
            }
            for (Map.Entry<Integer, String> problem : problems.entrySet()) {
                left.remove(problem.getKey());
                reported.put(problem.getKey(), problem.getValue());
            }
        }
        for (int id : left.keySet()) {
            Map<String, byte[]> own = new LinkedHashMap<>();
            for (Map.Entry<String, Compiled> made : memory.classes.entrySet()) {
                if (made.getKey().startsWith("p" + id + ".")) {
                    own.put(made.getKey(), made.getValue().data.toByteArray());
                }
            }
            String[] outcomes = run(own, "p" + id + ".AgdSuite", request);
            say("{\"id\": " + id + ", \"nonce\": " + nonce + ", \"problem\": null, \"outcomes\": ["
                    + String.join(", ", outcomes) + "]}");
        }
        for (Map.Entry<Integer, String> problem : reported.entrySet()) {
            say("{\"id\": " + problem.getKey() + ", \"nonce\": " + nonce + ", \"problem\": " + problem.getValue()
                    + ", \"outcomes\": []}");
        }
        say("{\"done\": " + candidates.size() + ", \"clean\": " + clean + "}");
    }

    /** Compile candidates with the tests beside each; the problem of each that has one, as JSON. */
    private Map<Integer, String> compile(Map<Integer, String> candidates, Memory memory) {
        Map<JavaFileObject, Source> sources = new LinkedHashMap<>();
        for (Map.Entry<Integer, String> candidate : candidates.entrySet()) {
            String folder = "p" + candidate.getKey();
            StringBuilder head = new StringBuilder("package " + folder + "; " + suite.get("head"));
            Matcher types = TYPES.matcher(candidate.getValue());
            if (types.find()) {
                for (String name : types.group(1).split(" ")) {
                    if (!name.isEmpty()) {
                        head.append(" import static ").append(folder).append('.').append(name).append(".*;");
                    }
                }
            }
            JavaFileObject own = new Text(folder, Runner.CANDIDATE, "package " + folder + "; " + candidate.getValue());
            JavaFileObject tests = new Text(folder, Runner.SUITE, head + "\n" + suite.get("body"));
            sources.put(own, new Source(candidate.getKey(), true, own));
            sources.put(tests, new Source(candidate.getKey(), false, tests));
        }
        DiagnosticCollector<JavaFileObject> said = new DiagnosticCollector<>();
        List<String> options = List.of("-proc:none", "-implicit:none", "-nowarn", "-Xmaxerrs", "10000", "-g:source,lines");
        String crash = null;
        try {
            compiler.getTask(null, memory, said, options, null, sources.keySet()).call();
        } catch (RuntimeException | StackOverflowError error) {
            crash = String.valueOf(error);
        }
        Map<Integer, String> problems = new LinkedHashMap<>();
        Map<Integer, Diagnostic<? extends JavaFileObject>> later = new LinkedHashMap<>();
        for (Diagnostic<? extends JavaFileObject> one : said.getDiagnostics()) {
            Source source = one.getSource() == null ? null : sources.get(unwrapped(one.getSource(), sources));
            if (one.getKind() != Diagnostic.Kind.ERROR || source == null) {
                continue;
            }
            if (source.own()) {
                problems.putIfAbsent(source.id(), problem(one, candidates.get(source.id())));
            } else {
                later.putIfAbsent(source.id(), one);
            }
        }
        for (Map.Entry<Integer, Diagnostic<? extends JavaFileObject>> one : later.entrySet()) {
            problems.putIfAbsent(one.getKey(), foreign(one.getValue(), candidates.get(one.getKey())));
        }
        if (crash != null && problems.isEmpty()) {
            if (candidates.size() == 1) {
                problems.put(candidates.keySet().iterator().next(), record(1, 1, "the compiler failed: " + crash));
            } else {
                for (Map.Entry<Integer, String> one : candidates.entrySet()) {
                    problems.putAll(compile(Map.of(one.getKey(), one.getValue()), new Memory(files)));
                }
            }
        }
        return problems;
    }

    private static JavaFileObject unwrapped(JavaFileObject file, Map<JavaFileObject, Source> known) {
        for (JavaFileObject one : known.keySet()) {
            if (one.toUri().equals(file.toUri())) {
                return one;
            }
        }
        return file;
    }

    private static String words(Diagnostic<?> one) {
        String text = one.getMessage(Locale.ENGLISH).strip().replaceAll("\\s*\\n\\s*", "; ").replaceAll("\\s+", " ");
        return text.replaceAll("\\bp\\d+\\.", "");
    }

    private static String problem(Diagnostic<?> one, String source) {
        long column = one.getColumnNumber();
        if (one.getLineNumber() == 1) {
            Matcher types = TYPES.matcher(source);
            column -= "package p0; ".length() + (types.find() ? types.end() : 0);
        }
        return record(Math.max(1, one.getLineNumber()), Math.max(1, column), words(one));
    }

    /** An error in the tests: they call something that the candidate has not, or has otherwise. */
    private static String foreign(Diagnostic<?> one, String source) {
        String words = words(one);
        int line = 1;
        Matcher names = Pattern.compile("[A-Za-z_]\\w*").matcher(words);
        while (names.find()) {
            Matcher place = Pattern.compile("\\b" + names.group() + "\\s*\\([^;]*\\{").matcher(source);
            if (place.find()) {
                line = (int) source.substring(0, place.start()).chars().filter(letter -> letter == '\n').count() + 1;
                break;
            }
        }
        return record(line, 1, "the tests do not compile with it: " + words);
    }

    private static String record(long line, long column, String words) {
        return "{\"line\": " + line + ", \"column\": " + column + ", \"message\": " + Json.quoted(words) + "}";
    }

    private static String outcome(int number, String status, String message, String kind, int line, double seconds) {
        return "{\"case\": " + number + ", \"status\": " + Json.quoted(status) + ", \"message\": " + Json.quoted(message)
                + ", \"type\": " + Json.quoted(kind) + ", \"line\": " + (line > 0 ? line : "null") + ", \"seconds\": "
                + seconds + "}";
    }

    /** The process that runs candidates. */
    private static final class Child {
        final Process process;
        final DataOutputStream in;
        final BlockingQueue<String> lines = new LinkedBlockingQueue<>();

        Child(List<String> command) throws IOException {
            process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
            in = new DataOutputStream(new java.io.BufferedOutputStream(process.getOutputStream()));
            BufferedReader out = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
            Thread reader = new Thread(() -> {
                try {
                    long taken = 0;
                    for (String line = out.readLine(); line != null && taken < 8_000_000; line = out.readLine()) {
                        taken += line.length();
                        lines.add(line);
                    }
                } catch (IOException error) {
                    // the process is gone; the next line says so
                }
                lines.add("");
            });
            reader.setDaemon(true);
            reader.start();
        }

        double cpu() {
            try {
                String text = Files.readString(Path.of("/proc/" + process.pid() + "/stat"), StandardCharsets.ISO_8859_1);
                String[] fields = text.substring(text.lastIndexOf(')') + 2).split(" ");
                return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) / TICK;
            } catch (IOException error) {
                return 0;
            }
        }
    }

    /** See that a runner is there; the nanoseconds that its start took, which are no candidate's. */
    private long start(Map<String, Object> request) throws IOException, InterruptedException {
        long began = System.nanoTime();
        if (child == null || !child.process.isAlive()) {
            List<String> command = new ArrayList<>(runnerCommand);
            command.add(1, "-Xmx" + (((Number) request.get("memory_bytes")).longValue() >> 20) + "m");
            child = new Child(command);
            String line = child.lines.poll(START_SECONDS, TimeUnit.SECONDS);
            if (!Runner.READY.equals(line)) {
                throw new IOException("the process for candidates does not start");
            }
        }
        return System.nanoTime() - began;
    }

    /** Whether nothing can be left of the candidates that were judged. */
    private boolean clean = true;

    private void stop() throws InterruptedException {
        if (child != null) {
            try {
                child.process.descendants().forEach(ProcessHandle::destroyForcibly);
            } catch (RuntimeException error) {
                clean = false; // processes cannot be listed in this sandbox: whoever started this one ends them all
            }
            child.process.destroyForcibly().waitFor(5, TimeUnit.SECONDS);
            child = null;
        }
    }

    private String[] run(Map<String, byte[]> classes, String name, Map<String, Object> request) throws Exception {
        String[] found = new String[cases];
        long end = System.nanoTime() + (long) (((Number) request.get("seconds")).doubleValue() * 1e9);
        int next = 0;
        int deaths = 0;
        while (next < cases) {
            end += start(request);
            byte[] secret = new byte[16];
            random.nextBytes(secret);
            String word = HexFormat.of().formatHex(secret);
            try {
                send(classes, name, next, request, word);
            } catch (IOException error) {
                stop(); // it ended since the last candidate
                end += start(request);
                send(classes, name, next, request, word);
            }
            String[] ended = watch(word, found, next, end);
            while (next < cases && found[next] != null) {
                next++;
            }
            if (ended == null) {
                break;
            }
            stop();
            if (ended[0].equals("dirty")) {
                continue;
            }
            if (ended[1].startsWith("faked")) {
                for (int number = 0; number < cases; number++) {
                    found[number] = outcome(number, "error", ended[1], null, 0, 0);
                }
                return found;
            }
            if (next < cases) {
                found[next] = outcome(next, ended[0], ended[1], null, 0, 0);
                next++;
            }
            boolean over = !ended[0].equals("killed") || ++deaths > 1; // a new process each would cost too much
            for (; over && next < cases; next++) {
                found[next] = outcome(next, ended[0], NOT_RUN, null, 0, 0);
            }
        }
        for (int number = 0; number < cases; number++) {
            if (found[number] == null) {
                found[number] = outcome(number, "killed", NOT_RUN, null, 0, 0);
            }
        }
        return found;
    }

    private void send(Map<String, byte[]> classes, String name, int first, Map<String, Object> request, String word)
            throws IOException {
        child.in.writeInt(classes.size());
        for (Map.Entry<String, byte[]> one : classes.entrySet()) {
            child.in.writeUTF(one.getKey());
            child.in.writeInt(one.getValue().length);
            child.in.write(one.getValue());
        }
        child.in.writeUTF(name);
        child.in.writeInt(first);
        child.in.writeInt(cases);
        child.in.writeLong(((Number) request.get("output_bytes")).longValue());
        child.in.writeUTF(word);
        child.in.flush();
    }

    /** Until all cases ran (null), or the status and the message of what happened to the current one. */
    private String[] watch(String word, String[] found, int first, long end) throws InterruptedException {
        double caseSeconds = ((Number) order.get("case_seconds")).doubleValue();
        double caseCpu = ((Number) order.get("case_cpu")).doubleValue();
        boolean begun = false;
        double cpuBegin = child.cpu();
        long began = System.nanoTime();
        while (true) {
            String line = child.lines.poll(30, TimeUnit.MILLISECONDS);
            if (line == null) {
                double spent = child.cpu() - cpuBegin;
                double passed = (System.nanoTime() - began) / 1e9;
                // on a busy machine a program that has had little of the processor gets more of the clock
                boolean starved = STARVED * passed < spent && spent < caseCpu;
                if (spent > caseCpu || passed > caseSeconds * (starved ? PATIENCE : 1) || System.nanoTime() > end) {
                    return new String[] {"timeout", begun ? "the case did not end in time" : UNPREPARED};
                }
                continue;
            }
            if (line.isEmpty()) {
                int code = child.process.waitFor();
                return new String[] {"killed", "the program ended the process (exit code " + code + ")"};
            }
            String[] parts = line.split(" ");
            if (!parts[0].equals(word) || parts.length < 2) {
                return new String[] {"error", "faked: a report was written that the harness did not write"};
            }
            switch (parts[1]) {
                case "all":
                    return null;
                case "dirty":
                    for (int number = first; number < cases; number++) {
                        if (found[number] == null && number > first && found[number - 1] != null) {
                            String status = found[number - 1].replaceAll("(?s).*\"status\": \"(\\w+)\".*", "$1");
                            found[number] = outcome(number, status, NOT_RUN, null, 0, 0);
                        }
                    }
                    return new String[] {"dirty", ""};
                case "begin":
                    begun = true;
                    began = System.nanoTime();
                    cpuBegin = child.cpu();
                    break;
                default:
                    int number = Integer.parseInt(parts[2]);
                    String kind = text(parts[6]);
                    found[number] = outcome(number, parts[3], text(parts[7]), kind.isEmpty() ? null : kind,
                            Integer.parseInt(parts[4]), Double.parseDouble(parts[5]));
                    if (parts.length > 8 && parts[8].matches("=[0-9,]+")) {
                        found[number] = found[number].replaceFirst("}$", ", \"lines\": [" + parts[8].substring(1) + "]}");
                    }
                    // what the process does at the end of a case counts for none
                    began = System.nanoTime();
                    cpuBegin = child.cpu();
            }
        }
    }

    private static String text(String part) {
        return new String(Base64.getDecoder().decode(part.substring(1)), StandardCharsets.UTF_8);
    }
}
