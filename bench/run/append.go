// Appends mails as append.c does, by bare system calls: package net sets TCP_NODELAY itself.
//
// usage: append PORT USER PASSWORD MAILS
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A socket that waits in its calls.
type socket int

func (fd socket) Read(into []byte) (int, error) {
	return syscall.Read(int(fd), into)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func number(word string) int {
	value, err := strconv.Atoi(word)
	check(err)
	return value
}

func main() {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	check(err)
	address := syscall.SockaddrInet4{Port: number(os.Args[1]), Addr: [4]byte{127, 0, 0, 1}}
	check(syscall.Connect(fd, &address))
	server := bufio.NewReader(socket(fd))
	say := func(text string) {
		_, err := syscall.Write(fd, []byte(text))
		check(err)
	}
	hear := func(start string) {
		for line := ""; !strings.HasPrefix(line, start); {
			var err error
			line, err = server.ReadString('\n')
			check(err)
		}
	}
	mail := "Subject: A mail\r\n\r\n" + strings.Repeat("x", 379) + "\r\n"
	mails := number(os.Args[4])
	hear("* OK")
	say(fmt.Sprintf("a LOGIN %s \"%s\"\r\n", os.Args[2], os.Args[3]))
	hear("a OK")
	start := time.Now()
	for n := 0; n < mails; n++ {
		say(fmt.Sprintf("b%d APPEND INBOX {%d}\r\n", n, len(mail)))
		hear("+")
		say(mail)
		say("\r\n")
		hear(fmt.Sprintf("b%d OK", n))
	}
	fmt.Println(time.Since(start).Seconds() * 1e3 / float64(mails))
}
