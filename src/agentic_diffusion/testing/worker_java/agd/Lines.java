package agd;

import java.io.IOException;
import java.io.PrintStream;

/** Which lines were run: told to the file that AGD_LINES names when the program ends. */
public final class Lines {
    private static final int FILES = 4096;
    private static final int LINES = 65536;
    private static final boolean[][] SEEN = new boolean[FILES][];

    static {
        String target = System.getenv("AGD_LINES");
        if (target != null) {
            Runtime.getRuntime().addShutdownHook(new Thread(() -> write(target)));
        }
    }

    private Lines() {}

    public static void hit(int file, int line) {
        boolean[] lines = SEEN[file];
        if (lines == null) {
            lines = new boolean[LINES];
            SEEN[file] = lines;
        }
        lines[line] = true;
    }

    private static void write(String target) {
        try (PrintStream out = new PrintStream(target, "UTF-8")) {
            for (int file = 0; file < FILES; file++) {
                for (int line = 0; SEEN[file] != null && line < LINES; line++) {
                    if (SEEN[file][line]) {
                        out.println(file + ":" + line);
                    }
                }
            }
        } catch (IOException error) {
            System.err.println("the lines that were run cannot be told: " + error);
        }
    }
}
