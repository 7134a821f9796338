package console

func loginPages() []page {
	return nil
}
