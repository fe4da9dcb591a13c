package org.junit.jupiter.api;

import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;

/** Stands in for JUnit's annotation of this name, as far as files of tests need it to compile. */
@Retention(RetentionPolicy.RUNTIME)
public @interface BeforeEach {}
